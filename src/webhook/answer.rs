//! What comes back from a webhook, and what it means for the job.

use std::time::Duration;

use crate::error::codes;
use crate::job::report::{Outcome, Report};

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    TimedOut(Duration),
    /// No answer, for this reason.
    Broken(String),
}

/// Status codes of a gateway on the way, which another try may get past.
const GATEWAY: std::ops::RangeInclusive<u16> = 502..=504;

impl Answer {
    /// Dataverse tries these once more, at once.
    pub fn is_worth_another_try(&self) -> bool {
        matches!(self, Self::Status(status) if GATEWAY.contains(status))
    }

    /// The end of the attempt.
    pub fn report(&self, url: &str) -> Report {
        let (outcome, code, what) = match self {
            Self::Status(200..=299) => return Report::of(Outcome::Succeeded),
            Self::Status(status) => {
                let outcome = match status {
                    401 => Outcome::Suspended,
                    400..=499 => Outcome::Failed,
                    _ => Outcome::Retry,
                };
                (outcome, codes::WEBHOOK_NOT_SUCCESSFUL, format!("the answer was {status}"))
            }
            Self::TimedOut(limit) => {
                let what = format!("no answer within {} seconds", limit.as_secs_f64());
                (Outcome::Retry, codes::WEBHOOK_TIMED_OUT, what)
            }
            Self::Broken(why) => (Outcome::Retry, codes::WEBHOOK_FAILED, why.clone()),
        };
        // The query may hold a key.
        let shown = url.split('?').next().unwrap_or_default();
        let message = format!("webhook '{shown}': {what}");
        Report { outcome, ..Report::failed(Some(code.cast_signed()), Some(message)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_outcome() {
        use Outcome::{Failed, Retry, Succeeded, Suspended};
        let rows = [
            (Answer::Status(200), Succeeded, None),
            (Answer::Status(204), Succeeded, None),
            (Answer::Status(299), Succeeded, None),
            (Answer::Status(301), Retry, Some(0x8005_0201)),
            (Answer::Status(400), Failed, Some(0x8005_0201)),
            (Answer::Status(401), Suspended, Some(0x8005_0201)),
            (Answer::Status(404), Failed, Some(0x8005_0201)),
            (Answer::Status(429), Failed, Some(0x8005_0201)),
            (Answer::Status(500), Retry, Some(0x8005_0201)),
            (Answer::Status(503), Retry, Some(0x8005_0201)),
            (Answer::TimedOut(Duration::from_secs(60)), Retry, Some(0x8005_0202)),
            (Answer::Broken("refused".into()), Retry, Some(0x8005_0205)),
        ];
        for (answer, outcome, code) in rows {
            let report = answer.report("https://example.com/hook?code=secret");
            let code = code.map(u32::cast_signed);
            assert_eq!((report.outcome, report.errorcode), (outcome, code), "{answer:?}");
            let message = report.message.unwrap_or_default();
            assert!(!message.contains("secret"), "{message}");
        }
        for (status, again) in [(500, false), (502, true), (503, true), (504, true), (505, false)] {
            assert_eq!(Answer::Status(status).is_worth_another_try(), again, "{status}");
        }
    }
}
