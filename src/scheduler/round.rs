//! A round: what has come in since the last commit, and who waits for its
//! answer until it is durable.

use std::collections::HashMap;

use super::core::{Beat, Effect, Event, Job};
use super::handle::{Account, Act, Claim, Ended, Heartbeat, NewJob, Outcomes, Reply, Submitted};
use super::{Scheduler, create, missing, rows};
use crate::error::{Error, ErrorKind, Place, Result, codes};
use crate::job::ActionRequest;
use crate::scheduler::core::{Claimed, Step};
use crate::store::Change;
use crate::value::{Guid, Value, guid_text};

/// How long a worker that got less than it asked for is expected to ask again.
const COMES_BACK: i64 = 10_000_000;

/// What one commit makes durable, and what follows it.
#[derive(Default)]
pub struct Round {
    pub changes: Vec<Change>,
    pub effects: Vec<Effect>,
    pub deleted: Vec<Guid>,
    /// Jobs of this round whose ids their senders gave.
    pub submitted: HashMap<Guid, i64>,
    pub answers: Vec<Box<dyn FnOnce() + Send>>,
}

impl Round {
    pub fn len(&self) -> usize {
        self.changes.len() + self.answers.len()
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.effects.is_empty()
    }

    /// Answers when the round is durable.
    pub fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T>) {
        self.answers.push(Box::new(move || {
            // A sender that went away no longer needs the answer.
            let _ = reply.send(answer);
        }));
    }
}

/// A worker that waits for jobs.
pub struct Claimer {
    claim: Claim,
    reply: Reply<Vec<Claimed>>,
    /// When it has waited long enough.
    pub deadline: i64,
}

impl Claimer {
    pub fn new(claim: Claim, reply: Reply<Vec<Claimed>>, now: i64) -> Self {
        let deadline = now.saturating_add(micros(claim.wait));
        Self { claim, reply, deadline }
    }
}

/// A time in microseconds.
pub fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

impl Scheduler {
    /// New jobs: all of them or, if one is not as it should be, none.
    pub(super) fn submit(
        &mut self,
        jobs: Vec<NewJob>,
        files: Vec<(usize, Change)>,
        reply: Reply<Vec<Submitted>>,
        round: &mut Round,
    ) {
        let now = self.clock.now();
        let columns = *self.rows.columns();
        let mut answers = Vec::with_capacity(jobs.len());
        let mut created = Vec::with_capacity(jobs.len());
        let mut here: HashMap<Guid, i64> = HashMap::new();
        for (index, cells) in jobs.into_iter().enumerate() {
            let given = create::given_id(&cells, &columns);
            let known = given.and_then(|id| {
                let staged = here.get(&id).or_else(|| round.submitted.get(&id)).copied();
                let staged = staged.or_else(|| self.commits.submitted(&id));
                let sequence = staged.or_else(|| {
                    match self.store.value(columns.table, &id, columns.sequence)? {
                        Value::Int64(sequence) => Some(sequence),
                        // An imported job may have none.
                        _ => Some(0),
                    }
                })?;
                Some(Submitted { id, sequence, known: true })
            });
            if let Some(known) = known {
                answers.push(known);
                continue;
            }
            match self.rows.create(cells, now) {
                Ok((cells, job)) => {
                    let (id, sequence) = (job.id, job.sequence);
                    if given.is_some() {
                        here.insert(id, sequence);
                    }
                    answers.push(Submitted { id, sequence, known: false });
                    created.push((cells, job, given.is_some()));
                }
                Err(e) => {
                    let place = Place::Part(format!("jobs[{index}]"));
                    let message = e.to_string();
                    let error = Error::new(e.kind, e.code, message).at(place);
                    return round.answer(reply, Err(error));
                }
            }
        }
        let new = |(index, _): &(usize, Change)| !answers[*index].known;
        round.changes.extend(files.into_iter().filter(new).map(|(_, file)| file));
        self.take_in(created, round);
        round.submitted.extend(here);
        round.answer(reply, Ok(answers));
    }

    /// New jobs with their rows, and whether somebody else chose their ids.
    fn take_in(&mut self, created: Vec<(rows::Cells, Job, bool)>, round: &mut Round) {
        let table = self.rows.columns().table;
        for (values, job, given) in created {
            let actor = self.rows.creator(&values);
            round.changes.push(match given {
                true => Change::Insert { table, values },
                false => Change::Append { table, values },
            });
            self.step(round, Event::Created { job, actor });
        }
    }

    /// Actions, after everything else in this round is durable.
    pub(super) fn act(&mut self, act: Act, reply: Reply<Outcomes>, round: &mut Round) {
        // Jobs as the actions of this request leave them.
        let mut jobs: HashMap<Guid, Option<Job>> = HashMap::new();
        let mut outcomes = Outcomes::with_capacity(act.requests.len());
        if act.whole {
            outcomes.extend(act.requests.iter().map(|request| self.allowed(request, &mut jobs)));
            if outcomes.iter().any(Result::is_err) {
                return round.answer(reply, Ok(outcomes));
            }
            outcomes.clear();
            jobs.clear();
        }
        // A job that is not as it should be refuses the whole.
        let (now, columns) = (self.clock.now(), *self.rows.columns());
        let create = |cells: rows::Cells| {
            let given = create::given_id(&cells, &columns).is_some();
            self.rows.create(cells, now).map(|(cells, job)| (cells, job, given))
        };
        let created: Result<Vec<_>> = act.jobs.into_iter().map(create).collect();
        let created = match created {
            Ok(created) => created,
            Err(error) => return round.answer(reply, Err(error)),
        };
        round.changes.extend(act.with);
        self.take_in(created, round);
        for record in act.happened {
            self.step(round, Event::Happened { record });
        }
        for ActionRequest { id, action, by, reason } in act.requests {
            let Some(job) = jobs.entry(id).or_insert_with(|| self.job(&id)).clone() else {
                outcomes.push(Err(missing(&id)));
                continue;
            };
            let step = self.step(round, Event::Action { job, action, by, reason });
            for change in step.jobs() {
                if let Some(job) = jobs.get_mut(&change.id) {
                    match (change.to, &mut *job) {
                        (Some(_), Some(job)) => job.apply(change),
                        _ => *job = None,
                    }
                }
            }
            outcomes.push(step.refused.map_or(Ok(()), |refusal| Err(refusal.into())));
        }
        // The job that asks may have been deleted meanwhile, even by these actions.
        if let Some(Account { job, tell }) = act.account
            && self.core.job(&job).is_some_and(Job::is_locked)
        {
            round.changes.push(tell(&outcomes));
        }
        round.answer(reply, Ok(outcomes));
    }

    /// Whether an action would be done, after those before it.
    fn allowed(
        &self,
        request: &ActionRequest,
        jobs: &mut HashMap<Guid, Option<Job>>,
    ) -> Result<()> {
        let job = jobs.entry(request.id).or_insert_with(|| self.job(&request.id));
        let Some(found) = job else { return Err(missing(&request.id)) };
        let transition = request.action.transition(found.status, found.operationtype)?;
        let runs = found.is_locked() && found.handler.is_some();
        match transition.passing(runs) {
            Some(status) => found.status = status,
            None => *job = None,
        }
        Ok(())
    }

    pub(super) fn heartbeat(
        &mut self,
        beats: Vec<Heartbeat>,
        reply: Reply<Vec<Beat>>,
        round: &mut Round,
    ) {
        let answers = beats.into_iter().map(|Heartbeat { id, attempt, lease }| {
            let lease = micros(lease);
            let step = self.step(round, Event::Heartbeat { id, attempt, lease });
            step.beat.unwrap_or(Beat::Lost)
        });
        let answers = answers.collect();
        round.answer(reply, Ok(answers));
    }

    pub(super) fn ended(&mut self, ends: Vec<Ended>, reply: Reply<Outcomes>, round: &mut Round) {
        let mut outcomes = Outcomes::with_capacity(ends.len());
        for Ended { id, attempt, report } in ends {
            let step = self.step(round, Event::Ended { id, attempt, report });
            outcomes.push(if step.late { Err(late(&id, attempt)) } else { Ok(()) });
        }
        round.answer(reply, Ok(outcomes));
    }

    /// Sees to it that handlers inside the service do not take all places before a
    /// worker that got less than it asked for.
    fn keep_place(&mut self, claim: &Claim, got: usize, deadline: i64, round: &mut Round) {
        let now = self.clock.now();
        let waits = got == 0 && deadline > now;
        if got >= claim.max || self.draining {
            return;
        }
        let back = now.saturating_add(COMES_BACK);
        let until = if waits { deadline.max(back) } else { back };
        let (worker, operationtypes) = (claim.worker.clone(), claim.operationtypes.clone());
        self.step(round, Event::Wants { worker, operationtypes, max: claim.max - got, until });
    }

    /// A worker asks. What ends in the same round must not give its place away.
    pub(super) fn claim(&mut self, claim: Claim, reply: Reply<Vec<Claimed>>, round: &mut Round) {
        let claimer = Claimer::new(claim, reply, self.clock.now());
        self.keep_place(&claimer.claim, 0, claimer.deadline, round);
        self.claimers.push(claimer);
    }

    /// Gives jobs to the workers that wait, in the order in which they came.
    pub(super) fn serve_claimers(&mut self, round: &mut Round) {
        let now = self.clock.now();
        let waits = |claimer: &Claimer| claimer.deadline > now && claimer.claim.max > 0;
        if !self.core.claimable(None) && self.claimers.iter().all(waits) {
            return;
        }
        for claimer in std::mem::take(&mut self.claimers) {
            let Claimer { claim, reply, deadline } = claimer;
            if reply.is_closed() {
                continue;
            }
            let event = Event::Claim {
                worker: claim.worker.clone(),
                operationtypes: claim.operationtypes.clone(),
                max: claim.max,
                lease: micros(claim.lease),
            };
            let there = self.core.claimable(claim.operationtypes.as_deref());
            let step = if there { self.step(round, event) } else { Step::default() };
            let waits = deadline > now && claim.max > 0 && !self.draining;
            if !step.claimed.is_empty() || !self.core.waits_for(&claim.worker) {
                self.keep_place(&claim, step.claimed.len(), deadline, round);
            }
            if step.claimed.is_empty() && waits {
                self.claimers.push(Claimer { claim, reply, deadline });
            } else {
                round.answer(reply, Ok(step.claimed));
            }
        }
    }
}

fn late(id: &Guid, attempt: i32) -> Error {
    let message = format!(
        "attempt {attempt} of system job {} is no longer the current one; what it reports changes nothing",
        guid_text(id)
    );
    Error::new(ErrorKind::Conflict, codes::CHANGED_MEANWHILE, message)
}
