//! `sysjob jobs submit`: jobs as JSON in a file, or one from options.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value as Json};
use ureq::http::Method;

use super::print::{Form, rows};
use super::select::read;
use super::{unexpected, usage};
use crate::cli::remote::Remote;
use crate::error::Result;

#[derive(Args)]
pub struct Submit {
    /// A file with a job as JSON, an array of jobs, or a job a line; `-` is standard input
    file: Option<PathBuf>,
    /// Name of the job
    #[arg(long, requires = "operationtype", conflicts_with = "file")]
    name: Option<String>,
    /// Operation type, such as 10 for a workflow
    #[arg(long, requires = "name")]
    operationtype: Option<i32>,
    /// Id of the job; a known one makes no second job
    #[arg(long, requires = "name")]
    id: Option<String>,
    /// How its work is done, as JSON; a worker claims it if not given
    #[arg(long, requires = "name")]
    handler: Option<String>,
    /// Its payload
    #[arg(long, requires = "name")]
    data: Option<String>,
    /// Jobs with the same token run one after the other
    #[arg(long, requires = "name")]
    dependencytoken: Option<String>,
    /// Hold it until this time
    #[arg(long, requires = "name")]
    postponeuntil: Option<String>,
}

impl Submit {
    pub fn run(&self, remote: &Remote, form: Form) -> Result<bool> {
        let jobs = match (&self.file, &self.name) {
            (Some(file), _) => parse(&read(file)?)?,
            (None, Some(name)) => vec![self.job(name)?],
            (None, None) => return Err(usage("which jobs? give a file, - or --name")),
        };
        let answer = remote.call(Method::POST, "/sysjob/jobs", Some(&Json::Array(jobs)))?;
        let answers = answer.as_array().ok_or_else(|| unexpected("jobs"))?;
        rows(form, &["asyncoperationid", "sequence"], answers, None)?;
        Ok(true)
    }

    fn job(&self, name: &str) -> Result<Json> {
        let mut job = Map::new();
        job.insert("name".into(), name.into());
        job.insert("operationtype".into(), self.operationtype.into());
        for (member, given) in [
            ("asyncoperationid", &self.id),
            ("data", &self.data),
            ("dependencytoken", &self.dependencytoken),
            ("postponeuntil", &self.postponeuntil),
        ] {
            job.extend(given.as_deref().map(|text| (member.to_owned(), text.into())));
        }
        if let Some(text) = &self.handler {
            let handler = serde_json::from_str(text)
                .map_err(|e| usage(format!("--handler is not JSON: {e}")).caused_by(e))?;
            job.insert("handler".into(), handler);
        }
        Ok(Json::Object(job))
    }
}

/// One document, or one object a line.
fn parse(text: &str) -> Result<Vec<Json>> {
    let text = text.trim_start_matches('\u{feff}');
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Json>();
    let mut jobs = Vec::new();
    for document in documents {
        match document.map_err(|e| usage(format!("the jobs are not JSON: {e}")).caused_by(e))? {
            Json::Array(list) => jobs.extend(list),
            job => jobs.push(job),
        }
    }
    Ok(jobs)
}
