//! The options of the configuration: a file, and one option and one environment
//! variable for each of its keys.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Config, File, KEYS, Key, Setting};
use crate::error::{Error, Place, Result, codes};

const FILE: &str = "config";
const FILE_VARIABLE: &str = "SYSJOB_CONFIG";
const SET: &str = "set";

/// What the command line and the environment say of the configuration.
#[derive(Clone, Default)]
pub struct ConfigOptions {
    file: Option<PathBuf>,
    given: Vec<Given>,
    set: Vec<String>,
}

#[derive(Clone)]
struct Given {
    key: &'static Key,
    /// What stands for the `*` of its path.
    name: String,
    value: String,
    place: String,
}

impl ConfigOptions {
    /// The configuration: defaults, the file, variables, options.
    pub fn load(self, defaults: Config) -> Result<Config> {
        let file = self.file.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let given =
            self.given.into_iter().map(|g| Setting::given(g.key, &g.name, &g.value, g.place));
        let mut overrides: Vec<Setting> = given.collect();
        for text in &self.set {
            let place = format!("--{SET} {text}");
            let Some((path, value)) = text.split_once('=') else {
                let message = "KEY=VALUE is expected, such as pools.mail.concurrency=4";
                let error = Error::invalid(codes::INVALID_ARGUMENT, message);
                return Err(error.at(Place::Part(place)));
            };
            overrides.push(Setting::at_path(path.trim(), value, place)?);
        }
        defaults.with(file, overrides)
    }
}

/// Variables of keys whose path has a name in it: `SYSJOB_POOLS_MAIL_CONCURRENCY`.
fn named_variables(variables: impl Iterator<Item = (String, String)>) -> Vec<Given> {
    let mut given = Vec::new();
    for (variable, value) in variables {
        let named = KEYS.iter().filter(|names| names.key.is_named()).find_map(|names| {
            let (before, after) = names.variable.split_once('*')?;
            let name = variable.strip_prefix(before)?.strip_suffix(after)?;
            (!name.is_empty()).then(|| (names.key, name.to_lowercase()))
        });
        if let Some((key, name)) = named {
            given.push(Given { key, name, value, place: variable });
        }
    }
    given.sort_by(|a, b| a.place.cmp(&b.place));
    given
}

impl FromArgMatches for ConfigOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.file = matches.get_one::<PathBuf>(FILE).cloned();
        self.set = matches.get_many::<String>(SET).into_iter().flatten().cloned().collect();
        let environment = std::env::vars_os();
        let texts =
            environment.filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
        self.given = named_variables(texts);
        for names in KEYS.iter().filter(|names| !names.key.is_named()) {
            if let Some(value) = matches.get_one::<String>(&names.option) {
                let place = match matches.value_source(&names.option) {
                    Some(ValueSource::EnvVariable) => names.variable.clone(),
                    _ => format!("--{}", names.option),
                };
                let (key, name, value) = (names.key, String::new(), value.clone());
                self.given.push(Given { key, name, value, place });
            }
        }
        Ok(())
    }
}

impl Args for ConfigOptions {
    fn augment_args(command: Command) -> Command {
        const HEADING: &str = "Configuration";
        let file = Arg::new(FILE)
            .long(FILE)
            .env(FILE_VARIABLE)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(
                "Pools, retries, webhooks, retention and more, TOML; the options below override it",
            );
        let set = Arg::new(SET)
            .long(SET)
            .value_name("KEY=VALUE")
            .action(ArgAction::Append)
            .help("One key of the file, such as pools.mail.concurrency=4; may be repeated");
        let options = KEYS.iter().filter(|names| !names.key.is_named()).map(|names| {
            let help = match names.key.default {
                "" => names.key.help.to_owned(),
                default => format!("{} [default: {default}]", names.key.help),
            };
            let option = Arg::new(names.option.as_str())
                .long(names.option.as_str())
                .env(names.variable.as_str())
                .value_name("VALUE")
                .help(help);
            match names.key.default {
                "false" => option.num_args(0..=1).default_missing_value("true"),
                _ => option,
            }
        });
        let options: Vec<Arg> =
            [file, set].into_iter().chain(options).map(|arg| arg.help_heading(HEADING)).collect();
        command.args(options)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        config: ConfigOptions,
    }

    fn load(arguments: &[&str]) -> Result<Config> {
        let arguments = std::iter::once(&"sysjob").chain(arguments);
        let program = Program::try_parse_from(arguments).expect("arguments that clap takes");
        program.config.load(Config::default())
    }

    #[test]
    fn options_override_the_file_and_name_themselves_when_wrong() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("sysjob.toml");
        std::fs::write(&file, "grace_s = 3\n[retry]\nmax = 4\nmax_s = 20\n").expect("written");
        let file = file.to_str().expect("a path in UTF-8");
        let config = load(&["--config", file, "--retry-max", "7", "--rate-guard-suspend"]);
        let config = config.expect("a configuration");
        assert_eq!(config.policies.retry.max, 7);
        assert_eq!(config.policies.retry.longest, 20_000_000);
        assert_eq!(config.grace, Duration::from_secs(3));
        assert!(config.policies.rate_guard.suspend);
        let refused = |arguments: &[&str]| load(arguments).expect_err("refused").to_string();
        assert_eq!(
            refused(&["--capacity", "0"]),
            "--capacity: 'capacity': a whole number of at least 1 is expected, not '0'"
        );
        assert_eq!(
            refused(&["--set", "retry.maxx=1"]),
            "--set retry.maxx=1: unknown key 'maxx' in [retry]; did you mean 'max'?"
        );
        assert!(refused(&["--set", "retry.max"]).contains("KEY=VALUE is expected"));
    }

    #[test]
    fn pools_can_be_set_without_a_file() {
        let config = load(&[
            "--set",
            "pools.mail.operationtypes=[2, 6]",
            "--set",
            "pools.mail.concurrency=3",
        ]);
        let pools = config.expect("a configuration").policies.pools;
        assert_eq!((pools[0].name.as_str(), pools[0].concurrency), ("mail", 3));
        assert_eq!(pools[0].operationtypes, [2, 6]);
        let variables = [
            ("SYSJOB_POOLS_MAIL_CONCURRENCY", "5"),
            ("SYSJOB_POOLS_MAIL_OPERATIONTYPES", "2,6"),
            ("SYSJOB_RETRY_TYPES_10_MAX", "1"),
            ("SYSJOB_URL", "http://127.0.0.1:1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options =
            ConfigOptions { given: named_variables(variables.into_iter()), ..Default::default() };
        let policies = options.load(Config::default()).expect("a configuration").policies;
        assert_eq!(policies.pools[0].concurrency, 5);
        assert_eq!(policies.retry(Some(10)).max, 1);
    }
}
