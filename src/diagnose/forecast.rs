//! When the jobs that wait now will have run.
//!
//! A calculation, and no simulation of each job: the work that waits in a pool, from how
//! long recent runs of its kinds took, shared by the places of the pool. Its assumptions
//! are part of the answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rule::{Cells, Row, duration};
use super::{Source, as_of};
use crate::error::Result;

/// A pool as the scheduler has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSize {
    pub name: String,
    pub operationtypes: Vec<Option<i32>>,
    pub concurrency: usize,
    pub running: usize,
}

/// What waits and runs, and what came and ended lately, by operation type. The chain is
/// the longest one of jobs with the same token, which run one after another.
const KINDS: &str = "\
SELECT job.operationtype
      ,job.operationtypename
      ,SUM(CASE WHEN job.statecode = 0 THEN 1 ELSE 0 END) AS queued
      ,SUM(CASE WHEN job.statecode = 2 THEN 1 ELSE 0 END) AS running
      ,SUM(CASE WHEN job.statecode = 1 AND job.postponeuntil IS NOT NULL THEN 1 ELSE 0 END) AS postponed
      ,SUM(CASE WHEN job.createdon > DATEADD(hour, -1, GETUTCDATE()) THEN 1 ELSE 0 END) AS came_1h
      ,SUM(CASE WHEN job.completedon > DATEADD(hour, -1, GETUTCDATE()) THEN 1 ELSE 0 END) AS ended_1h
      ,MAX(chain.longest) AS longest_chain
FROM asyncoperation AS job
LEFT JOIN (SELECT operationtype, MAX(jobs) AS longest
           FROM (SELECT operationtype, dependencytoken, COUNT(*) AS jobs
                 FROM asyncoperation
                 WHERE statecode = 0 AND dependencytoken IS NOT NULL AND operationtype <> 1
                 GROUP BY operationtype, dependencytoken) AS tokens
           GROUP BY operationtype) AS chain
  ON chain.operationtype = job.operationtype
WHERE job.statecode < 3
   OR job.createdon > DATEADD(hour, -1, GETUTCDATE())
   OR job.completedon > DATEADD(hour, -1, GETUTCDATE())
GROUP BY job.operationtype, job.operationtypename
ORDER BY queued DESC";

/// How long runs took, of the day before the latest end.
const RUNS: &str = "\
SELECT operationtype
      ,COUNT(*) AS runs
      ,AVG(executiontimespan) AS mean_s
      ,PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY executiontimespan) AS p50_s
      ,PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY executiontimespan) AS p95_s
FROM asyncoperation
WHERE statecode = 3 AND executiontimespan IS NOT NULL
  AND operationtype IN (SELECT operationtype FROM asyncoperation WHERE statecode IN (0, 2) GROUP BY operationtype)
  AND completedon > DATEADD(day, -1, (SELECT MAX(completedon) FROM asyncoperation WHERE completedon <= GETUTCDATE()))
GROUP BY operationtype";

const ASSUMPTIONS: [&str; 6] = [
    "runs take as long as the mean of those of their kind that ended in the last day",
    "a run that is under way has half of that left",
    "all places of a pool stay in use, also those for which remote workers have to ask",
    "jobs with the same dependency token run one after another",
    "jobs go on coming as in the last hour where it says so, and not at all elsewhere",
    "jobs that are suspended or postponed now do not come back before the rest has run",
];

/// The forecast of some pools. A type that is in none of them has `concurrency` places.
pub fn forecast(
    source: &dyn Source,
    pools: &[PoolSize],
    concurrency: usize,
    generated: &str,
    now: Option<&str>,
) -> Result<Value> {
    let code = |row: &Row| row.get("operationtype").and_then(Value::as_i64);
    let runs = source.rows(&as_of(RUNS, now))?;
    let runs: BTreeMap<Option<i64>, Row> = runs.into_iter().map(|row| (code(&row), row)).collect();
    let mut pools = pools.to_vec();
    let mut kinds: Vec<Vec<Kind>> = pools.iter().map(|_| Vec::new()).collect();
    for row in source.rows(&as_of(KINDS, now))? {
        let of = code(&row).and_then(|code| i32::try_from(code).ok());
        let place = pools.iter().position(|pool| pool.operationtypes.contains(&of));
        let place = place.unwrap_or_else(|| {
            let name = of.map_or("no type".into(), |code| format!("type {code}"));
            let running = usize::try_from(row.integer("running")).unwrap_or(0);
            pools.push(PoolSize { name, operationtypes: vec![of], concurrency, running });
            kinds.push(Vec::new());
            pools.len() - 1
        });
        let took = runs.get(&code(&row)).cloned();
        kinds[place].push(Kind { row, took });
    }
    let queued = kinds.iter().flatten().map(|kind| kind.row.integer("queued")).sum::<i64>();
    let said = pools.iter().zip(&kinds).filter(|(_, kinds)| !kinds.is_empty());
    let said: Vec<Value> = said.map(|(pool, kinds)| of_pool(pool, kinds)).collect();
    Ok(json!({
        "generated": generated,
        "queued": queued,
        "pools": said,
        "assumptions": ASSUMPTIONS,
    }))
}

/// An operation type of a pool, and how long its runs took.
struct Kind {
    row: Row,
    took: Option<Row>,
}

impl Kind {
    fn mean(&self) -> Option<f64> {
        self.took.as_ref().map(|took| took.number("mean_s"))
    }

    fn shown(&self) -> Value {
        let took = |column: &str| self.took.as_ref().map_or(Value::Null, |row| row.cell(column));
        json!({
            "operationtype": self.row.cell("operationtype"),
            "operationtypename": self.row.cell("operationtypename"),
            "queued": self.row.integer("queued"),
            "running": self.row.integer("running"),
            "postponed": self.row.integer("postponed"),
            "came_1h": self.row.integer("came_1h"),
            "ended_1h": self.row.integer("ended_1h"),
            "longest_chain": self.row.integer("longest_chain"),
            "runs": self.took.as_ref().map_or(0, |row| row.integer("runs")),
            "mean_s": took("mean_s"),
            "p50_s": took("p50_s"),
            "p95_s": took("p95_s"),
        })
    }
}

/// Seconds until a pool has done what waits, and what it takes of its places.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Drain {
    /// If nothing more comes.
    alone: f64,
    /// If jobs go on coming; nothing if they come faster than they can be done.
    with_arrivals: Option<f64>,
    /// Places that are needed for what comes, of all.
    load: f64,
}

/// Nothing where it is not known how long jobs take that wait.
fn drain(pool: &PoolSize, kinds: &[Kind]) -> Option<Drain> {
    let places = pool.concurrency.max(1) as f64;
    let (mut work, mut chain, mut coming) = (0.0, 0.0_f64, 0.0);
    for kind in kinds {
        let [queued, running] = ["queued", "running"].map(|column| kind.row.number(column));
        if queued + running == 0.0 && kind.mean().is_none() {
            continue;
        }
        let mean = kind.mean()?;
        work += queued * mean + running * mean / 2.0;
        chain = chain.max(kind.row.number("longest_chain") * mean);
        coming += kind.row.number("came_1h") / 3600.0 * mean;
    }
    let load = coming / places;
    let with_arrivals = (load < 1.0).then(|| (work / places / (1.0 - load)).max(chain));
    Some(Drain { alone: (work / places).max(chain), with_arrivals, load })
}

fn of_pool(pool: &PoolSize, kinds: &[Kind]) -> Value {
    let queued: i64 = kinds.iter().map(|kind| kind.row.integer("queued")).sum();
    let drain = drain(pool, kinds);
    let text = match drain {
        _ if queued == 0 => "nothing waits".into(),
        None => "no run of a kind that waits has ended lately, so nobody can say".to_owned(),
        Some(Drain { with_arrivals: Some(seconds), .. }) => {
            format!("what waits has run in about {}", duration(seconds))
        }
        Some(Drain { alone, load, .. }) => format!(
            "does not drain: what comes needs {:.0} % of the places; alone it would take {}",
            load * 100.0,
            duration(alone)
        ),
    };
    json!({
        "pool": pool.name,
        "concurrency": pool.concurrency,
        "running": pool.running,
        "queued": queued,
        "load": drain.map(|drain| drain.load),
        "drain_s": drain.and_then(|drain| drain.with_arrivals),
        "drain_without_arrivals_s": drain.map(|drain| drain.alone),
        "text": text,
        "kinds": kinds.iter().map(Kind::shown).collect::<Vec<Value>>(),
    })
}
