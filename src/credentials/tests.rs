//! What a file of users may say, and who is let in.

use super::*;

const USERS: &str = r#"
[[users]]
name = "ann"
role = "administrator"
tokens = ["ann-1", "ann-2"]
systemuserid = "6F9619FF-8B86-D011-B42D-00C04FC964FF"

[[users]]
name = "grafana"
role = "reader"
password = "päss"
client_id = "app"
client_secret = "secret"
"#;

#[test]
fn users_are_known_by_what_they_have() {
    let credentials = Credentials::parse(USERS, "users.toml").expect("valid");
    let bearer = |token: &str| credentials.bearer(token, 0).map(|user| user.name.as_str());
    assert_eq!((bearer("ann-1"), bearer("ann-2")), (Some("ann"), Some("ann")));
    for unknown in ["", "ann", "ann-", "ann-11", "app", "secret", "päss"] {
        assert_eq!(bearer(unknown), None, "{unknown}");
    }
    let ann = credentials.user("ann").expect("there");
    assert_eq!((ann.role, ann.systemuserid.is_some()), (Role::Administrator, true));
    assert_eq!(ann.password, None);
    let grafana = credentials.user("grafana").expect("there");
    assert_eq!((grafana.role, grafana.password.as_deref()), (Role::Reader, Some("päss")));
    assert!(credentials.user("Grafana").is_none());
}

#[test]
fn issued_tokens_are_all_different_and_end() {
    let credentials = Credentials::parse(USERS, "users.toml").expect("valid");
    for (id, secret) in [("app", "Secret"), ("ap", "secret"), ("app", ""), ("", "")] {
        assert_eq!(credentials.issue(id, secret, 0), None, "{id} {secret}");
    }
    let first = credentials.issue("app", "secret", 0).expect("valid");
    let second = credentials.issue("app", "secret", 10).expect("valid");
    assert_ne!(first, second);
    let end = TOKEN_SECONDS * 1_000_000;
    let valid = |token: &str, now| credentials.bearer(token, now).is_some();
    assert!(valid(&first, end - 1) && !valid(&first, end));
    assert!(valid(&second, end) && !valid(&second, end + 10));
    for _ in 0..TOKENS_MAX {
        credentials.issue("app", "secret", 20).expect("valid");
    }
    assert!(!valid(&first, 20) && !valid(&second, 20), "the oldest went");
    assert_eq!(credentials.issued.lock().len(), TOKENS_MAX);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let user = "[[users]]\nname = 'a'\nrole = 'reader'\n";
    for (text, part) in [
        (String::new(), "f line 1: missing field `users`"),
        ("users = []".into(), "f line 1: there are no users"),
        ("[[users]]\nname = 'a'\ntokens = ['t']\n".into(), "missing field `role`"),
        ("[[users]]\nrole = 'reader'\ntokens = ['t']\n".into(), "missing field `name`"),
        ("[[users]]\nname = 'a'\nrole = 'owner'\n".into(), "f line 3: unknown variant `owner`"),
        (format!("{user}tokns = ['t']\n"), "f line 4: unknown field `tokns`"),
        (format!("{user}tokens = 't'\n"), "f line 4: invalid type"),
        (format!("{user}tokens = ['t'\n"), "f line "),
        (user.into(), "f line 2: user 'a': it needs a password, tokens"),
        (format!("{user}tokens = ['']\n"), "user 'a': an empty token"),
        (format!("{user}password = ''\n"), "user 'a': an empty password"),
        (format!("{user}tokens = ['t', 't']\n"), "user 'a': this token is given twice"),
        (format!("{user}client_id = 'x'\n"), "client_id without client_secret"),
        (format!("{user}client_secret = 'x'\n"), "client_secret without client_id"),
        (format!("{user}client_id = 'x'\nclient_secret = ''\n"), "an empty client_secret"),
        (format!("{user}tokens = ['t']\nsystemuserid = 'x'\n"), "systemuserid 'x' is not a GUID"),
        (
            format!("{user}tokens = ['t']\n{user}tokens = ['u']\n"),
            "f line 6: user 'a': this name is given twice",
        ),
        (
            format!(
                "{user}tokens = ['t']\n[[users]]\nname = 'b'\nrole = 'reader'\ntokens = ['t']\n"
            ),
            "f line 6: user 'b': this token belongs to user 'a' already",
        ),
    ] {
        let error = Credentials::parse(&text, "f").expect_err(part).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}
