//! What guards a service, met from outside: certificates, credentials, roles.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::Service;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const JOBS: &str = "asyncoperationid,name,statecode,statuscode\n\
    00000000-0000-0000-0000-000000000001,first,0,0\n\
    00000000-0000-0000-0000-000000000002,second,3,30\n";

const USERS: &str = "systemuserid,fullname,businessunitid,azureactivedirectoryobjectid\n\
    00000000-0000-0000-0000-0000000000a1,Ann,00000000-0000-0000-0000-0000000000b1,\n\
    00000000-0000-0000-0000-0000000000a2,Bob,,00000000-0000-0000-0000-0000000000e2\n";

const CREDENTIALS: &str = r#"
[[users]]
name = "reader"
role = "reader"
tokens = ["reader-token"]
password = "pa's swörd"
client_id = "app+1"
client_secret = "se/cret%"

[[users]]
name = "operator"
role = "operator"
tokens = ["operator-token"]
systemuserid = "00000000-0000-0000-0000-0000000000a1"

[[users]]
name = "administrator"
role = "administrator"
tokens = ["administrator-token"]
"#;

/// A data folder with two jobs and two users.
fn jobs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("jobs").display().to_string();
    for (name, text) in [("asyncoperation.csv", JOBS), ("systemuser.csv", USERS)] {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        let done = sysjob(&["import", "--data-dir", &data, &file.display().to_string()]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    folder
}

fn sysjob(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sysjob")).args(arguments).output().expect("sysjob runs")
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A client that trusts one certificate only.
fn agent(certificate: &Path) -> ureq::Agent {
    let pem = fs::read(certificate).expect("readable");
    let roots = RootCerts::from(vec![Certificate::from_pem(&pem).expect("PEM")]);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls =
        TlsConfig::builder().unversioned_rustls_crypto_provider(provider).root_certs(roots).build();
    ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls).build().into()
}

#[test]
fn everything_is_served_over_tls() {
    let folder = jobs();
    let data = folder.path().join("jobs");
    let service = Service::start(&data, &["--no-scheduler", "--tls", "auto"]);
    let certificate = data.join("tls/cert.pem");
    assert!(service.http.starts_with("https://127.0.0.1:"), "{}", service.http);

    // Links lead back to https, whatever a client claims about proxies.
    let client = agent(&certificate);
    let url = format!("{}/api/data/v9.2/asyncoperations?$select=name", service.http);
    let request = client
        .get(&url)
        .header("prefer", "odata.maxpagesize=1")
        .header("x-forwarded-proto", "gopher");
    let page = request.call().expect("an answer").body_mut().read_to_string().expect("text");
    let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let base = format!("{}/api/data/v9.2/", service.http);
    assert_eq!(page["@odata.context"], format!("{base}$metadata#asyncoperations(name)"));
    let next = page["@odata.nextLink"].as_str().expect("a second page");
    assert!(next.starts_with(&base), "{next}");
    let second = client.get(next).call().expect("an answer").body_mut().read_to_string();
    assert!(second.expect("text").contains("second"));

    // By name as well as by address; a stranger's certificate is not trusted.
    let named = url.replace("127.0.0.1", "localhost");
    assert_eq!(client.get(&named).call().expect("an answer").status(), 200);
    let pem = certificate.display().to_string();
    let question = ["query", "-e", "SELECT COUNT(*) AS jobs FROM asyncoperation"];
    let ask = |more: &[&str]| sysjob(&[&question[..], &["--url", &service.http], more].concat());
    let answer = ask(&["--cacert", &pem, "--format", "csv"]);
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "jobs\n2\n", "{answer:?}");
    let stranger = tempfile::tempdir().expect("a folder");
    let hosts = ["127.0.0.1".to_owned()];
    let stranger = sysjob::tls::CertificateFiles::own(stranger.path(), &hosts).expect("made");
    let refused = error(&ask(&["--cacert", &stranger.certificate.display().to_string()]));
    assert!(refused.contains("no answer from https://"), "{refused}");
    let refused = error(&ask(&["--cacert", "/nowhere.pem"]));
    assert!(refused.contains("'/nowhere.pem' cannot be read"), "{refused}");

    // Who speaks plain HTTP is told, and harms nobody.
    let address = service.http.trim_start_matches("https://");
    let mut plain = TcpStream::connect(address).expect("connected");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https only"), "{answer}");

    // curl and psql bring TLS of their own.
    match Command::new("curl").args(["-sS", "--cacert", &pem, &url]).output() {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("first"));
        }
        Err(e) => println!("skipped: curl does not run here ({e})"),
    }
    let verified = format!(
        "host=127.0.0.1 port={} dbname=sysjob user=x sslmode=verify-full sslrootcert={pem}",
        service.pg_port
    );
    let sql = "SELECT name FROM asyncoperation ORDER BY name";
    if let Some((ok, out, err)) = service.psql(&["-t", "-c", sql, "-d", &verified]) {
        assert!(ok, "{err}");
        assert_eq!(out, "first\nsecond\n");
    }
    assert_eq!(service.terminate(), Some(0));

    // The certificate stays the same.
    let before = fs::read(&certificate).expect("readable");
    let again = Service::start(&data, &["--no-scheduler", "--tls", "auto"]);
    assert_eq!(agent(&certificate).get(&again.http).call().expect("an answer").status(), 404);
    assert_eq!(fs::read(&certificate).expect("readable"), before);
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("text.pem");
    fs::write(&text, "nothing").expect("written");
    let (text, data) = (text.display().to_string(), folder.path().join("jobs"));
    let data = data.display().to_string();
    let serve = ["serve", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0", "--data-dir", &data];
    for (options, part) in [
        (&["--tls-cert", &text, "--tls-key", &text][..], "text.pem' holds no PEM certificate"),
        (&["--tls-cert", &text], "--tls-key"),
        (&["--tls", "auto", "--tls-cert", &text, "--tls-key", &text], "cannot be used with"),
        (&["--tls", "maybe"], "auto"),
    ] {
        let refused = error(&sysjob(&[&serve[..], options].concat()));
        assert!(refused.contains(part), "{options:?}: {refused}");
    }
}

/// A service that takes credentials, and the folder it lives in.
fn guarded(options: &[&str]) -> (Service, tempfile::TempDir) {
    let folder = jobs();
    let file = folder.path().join("users.toml");
    fs::write(&file, CREDENTIALS).expect("written");
    let (data, file) = (folder.path().join("jobs"), file.display().to_string());
    let options = [&["--no-scheduler", "--auth", &file][..], options].concat();
    (Service::start(&data, &options), folder)
}

struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    json: serde_json::Value,
}

/// A request with an empty JSON object as its body, where it may have one.
fn send(service: &Service, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send_body(service, method, path, headers, if method == "GET" { "" } else { "{}" })
}

fn send_body(
    service: &Service,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let url = format!("{}{path}", service.http);
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        "" => agent.run(request.body(()).expect("a request")),
        body => agent.run(request.body(body).expect("a request")),
    };
    let (parts, mut body) = answer.expect("an answer").into_parts();
    let text = body.read_to_string().expect("text");
    let json = serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
    Answer { status: parts.status.as_u16(), headers: parts.headers, json }
}

const API: &str = "/api/data/v9.2";

/// Method, path, and the roles that may; ids are of rows that do not exist.
const ROUTES: &[(&str, &str, &[&str])] = &[
    ("GET", "/api/data/v9.2/", ALL),
    ("GET", "/api/data/v9.2/asyncoperations", ALL),
    ("GET", "/api/data/v9.2/asyncoperations/$count", ALL),
    ("GET", "/api/data/v9.2/asyncoperations(00000000-0000-0000-0000-000000000009)", ALL),
    ("GET", "/api/data/v9.2/$metadata", ALL),
    ("GET", "/api/data/v9.2/WhoAmI", ALL),
    ("GET", "/api/data/v9.2/EntityDefinitions", ALL),
    ("POST", "/api/data/v9.2/asyncoperations/$query", ALL),
    ("PATCH", "/api/data/v9.2/asyncoperations(00000000-0000-0000-0000-000000000009)", ACT),
    ("DELETE", "/api/data/v9.2/asyncoperations(00000000-0000-0000-0000-000000000009)", ACT),
    ("PUT", "/api/data/v9.2/asyncoperations(00000000-0000-0000-0000-000000000009)/name", ACT),
    ("DELETE", "/api/data/v9.2/asyncoperations(00000000-0000-0000-0000-000000000009)/name", ACT),
    ("POST", "/api/data/v9.2/asyncoperations", OWN),
    ("POST", "/api/data/v9.2/accounts", OWN),
    ("PATCH", "/api/data/v9.2/accounts(00000000-0000-0000-0000-000000000009)", OWN),
    ("DELETE", "/api/data/v9.2/accounts(00000000-0000-0000-0000-000000000009)", OWN),
    ("PATCH", "/api/data/v9.2/workflows(00000000-0000-0000-0000-000000000009)", OWN),
    ("POST", "/api/data/v9.2/BulkDelete", OWN),
    ("POST", "/sysjob/query", ALL),
    ("POST", "/sysjob/explain", ALL),
    ("POST", "/sysjob/jobs", ACT),
    ("POST", "/sysjob/claim", ACT),
    ("POST", "/sysjob/actions", ACT),
    ("GET", "/sysjob/diagnosis", ALL),
    ("GET", "/nowhere", ALL),
    ("GET", "/api/data/v8.0/", ALL),
    ("GET", "/api/data/v9.2/nowhere", ALL),
];
const ALL: &[&str] = &["reader", "operator", "administrator"];
const ACT: &[&str] = &["operator", "administrator"];
const OWN: &[&str] = &["administrator"];

#[test]
fn every_route_takes_its_role() {
    let (service, _folder) = guarded(&[]);
    for (method, path, roles) in ROUTES {
        for role in ALL {
            let token = format!("Bearer {role}-token");
            let answer = send(&service, method, path, &[("authorization", &token)]);
            let what = format!("{method} {path} as {role}: {} {}", answer.status, answer.json);
            assert_ne!(answer.status, 401, "{what}");
            assert_eq!(answer.status == 403, !roles.contains(role), "{what}");
            if answer.status == 403 {
                assert_eq!(answer.json["error"]["code"], "0x80040220", "{what}");
                let message = answer.json["error"]["message"].as_str().expect("text");
                assert!(message.contains("privilege prv") && message.contains(role), "{what}");
            }
        }
        for authorization in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic YTpi")] {
            let header: Vec<_> = authorization.map(|a| ("authorization", a)).into_iter().collect();
            let answer = send(&service, method, path, &header);
            assert_eq!(answer.status, 401, "{method} {path} {authorization:?}");
            assert!(answer.json["error"]["message"].is_string(), "{}", answer.json);
            let challenge = answer.headers["www-authenticate"].to_str().expect("text");
            let expected = format!("Bearer authorization_uri=\"{}/common/", service.http);
            assert!(challenge.starts_with(&expected), "{challenge}");
        }
    }
    let wrong = [("authorization", "Bearer wrong")];
    assert_eq!(send(&service, "POST", &format!("{API}/$batch"), &wrong).status, 401);
    for path in ["EntityDefinitions/$batch", "asyncoperations/$batch", "$batch/$metadata"] {
        assert_eq!(send(&service, "GET", &format!("{API}/{path}"), &[]).status, 401, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(&service, "GET", path, &[]).status, 200);
    }
}

#[test]
fn the_parts_of_a_batch_are_judged_by_themselves() {
    let (service, _folder) = guarded(&[]);
    // It does not exist, so that nothing is changed.
    let job = "asyncoperations(00000000-0000-0000-0000-000000000009)";
    let statuses = |outer: &[(&str, &str)], parts: &[(&str, &str, Option<&str>)]| {
        let requests: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(i, (method, url, token))| {
                let headers = match token {
                    Some(token) => serde_json::json!({ "authorization": format!("Bearer {token}-token") }),
                    None => serde_json::json!({}),
                };
                serde_json::json!({ "id": i.to_string(), "method": method, "url": url, "headers": headers })
            })
            .collect();
        let body = serde_json::json!({ "requests": requests }).to_string();
        let more = [("content-type", "application/json"), ("prefer", "odata.continue-on-error")];
        let headers = [outer, &more].concat();
        let answer = send_body(&service, "POST", &format!("{API}/$batch"), &headers, &body);
        let answers = answer.json["responses"].as_array().expect("answers").clone();
        answers.iter().map(|a| a["status"].as_u64().expect("a status")).collect::<Vec<_>>()
    };
    // o.js has the token on the parts only.
    let parts = [
        ("GET", "WhoAmI", None),
        ("GET", "WhoAmI", Some("reader")),
        ("GET", "WhoAmI", Some("wrong")),
        ("DELETE", job, Some("reader")),
        ("GET", "EntityDefinitions/$batch", None),
    ];
    assert_eq!(statuses(&[], &parts), [401, 200, 401, 403, 401]);
    // Others have it on the whole.
    let reader = [("authorization", "Bearer reader-token")];
    assert_eq!(statuses(&reader, &[("GET", "WhoAmI", None), ("DELETE", job, None)]), [200, 403]);
}

#[test]
fn callers_are_the_users_they_act_as() {
    let (service, _folder) = guarded(&[]);
    let ids = |token: &str, headers: &[(&str, &str)]| {
        let token = format!("bearer {token}-token");
        let headers = [&[("authorization", token.as_str())], headers].concat();
        let answer = send(&service, "GET", &format!("{API}/WhoAmI"), &headers);
        let text = |name: &str| answer.json[name].as_str().map(|id| id[32..].to_owned());
        (answer.status, text("UserId"), text("BusinessUnitId"), answer.json)
    };
    let some = |text: &str| Some(text.to_owned());
    let (_, user, unit, _) = ids("operator", &[]);
    assert_eq!((user, unit), (some("00a1"), some("00b1")));
    let (_, user, _, _) = ids("administrator", &[]);
    assert_eq!(user, some("0001"));
    for (header, id, found) in [
        ("MSCRMCallerID", "00000000-0000-0000-0000-0000000000A1", "00a1"),
        ("CallerObjectId", "00000000-0000-0000-0000-0000000000e2", "00a2"),
        ("CallerObjectId", "{00000000-0000-0000-0000-0000000000a2}", "00a2"),
    ] {
        let (status, user, _, json) = ids("administrator", &[(header, id)]);
        assert_eq!((status, user), (200, some(found)), "{header} {id}: {json}");
        assert_eq!(ids("operator", &[(header, id)]).0, 403, "{header}");
    }
    for id in ["00000000-0000-0000-0000-0000000000ff", "x", ""] {
        let (status, _, _, json) = ids("administrator", &[("MSCRMCallerID", id)]);
        let message = json["error"]["message"].as_str().expect("text").to_owned();
        assert_eq!(status, 400, "{json}");
        assert!(message.contains("mscrmcallerid") && message.contains(id), "{message}");
    }
}

#[test]
fn oauth_clients_get_tokens() {
    let (service, _folder) = guarded(&[]);
    let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let fields = "grant_type=client_credentials&client_id=app%2B1&client_secret=se%2Fcret%25&scope=x%2F.default";
    // `app+1:se/cret%`, as it is and as OAuth has it encoded.
    let (raw, encoded) = ("Basic YXBwKzE6c2UvY3JldCU=", "basic YXBwJTJCMTpzZSUyRmNyZXQlMjU=");
    let grant = "grant_type=client_credentials&resource=https%3A%2F%2Fx";
    for path in ["/any/oauth2/v2.0/token", "/any/oauth2/token"] {
        for (headers, body) in [
            (&[form][..], fields),
            (&[form, ("authorization", raw)], grant),
            (&[form, ("authorization", encoded)], grant),
        ] {
            let answer = send_body(&service, "POST", path, headers, body);
            assert_eq!(answer.status, 200, "{path} {body}: {}", answer.json);
            assert_eq!(answer.json["token_type"], "Bearer");
            assert_eq!(answer.json["expires_in"], 3599);
            assert_eq!(answer.headers["cache-control"], "no-store");
            let token = format!("Bearer {}", answer.json["access_token"].as_str().expect("text"));
            let answer =
                send(&service, "GET", &format!("{API}/WhoAmI"), &[("authorization", &token)]);
            assert_eq!(answer.status, 200);
        }
    }
    for (headers, body, status, code) in [
        (&[form][..], "grant_type=password&client_id=a", 400, "unsupported_grant_type"),
        (&[form], "client_id=a&client_secret=b", 400, "invalid_request"),
        (&[form], "grant_type=client_credentials&client_secret=b", 400, "invalid_request"),
        (&[form], "grant_type=client_credentials&client_id=b", 400, "invalid_request"),
        (&[form], "grant_type=client_credentials&client_id=a&client_id=b", 400, "invalid_request"),
        (
            &[form],
            "grant_type=client_credentials&client_id=a&client_secret=b",
            401,
            "invalid_client",
        ),
        (&[form, ("authorization", "Basic YTpi")], grant, 401, "invalid_client"),
        (&[form, ("authorization", "Basic *")], grant, 400, "invalid_request"),
        (&[("content-type", "application/json")], "{}", 400, "invalid_request"),
    ] {
        let answer = send_body(&service, "POST", "/t/oauth2/token", headers, body);
        assert_eq!((answer.status, &answer.json["error"]), (status, &code.into()), "{body}");
        assert!(answer.json["error_description"].is_string());
    }
    let found = send(&service, "GET", "/t/v2.0/.well-known/openid-configuration", &[]).json;
    assert_eq!(found["token_endpoint"], format!("{}/t/oauth2/v2.0/token", service.http));

    // Where there are no credentials, clients that insist on a token get one.
    let folder = jobs();
    let open = Service::start(&folder.path().join("jobs"), &["--no-scheduler"]);
    let answer = send_body(&open, "POST", "/t/oauth2/v2.0/token", &[form], fields);
    assert!(answer.json["access_token"].is_string());
    assert_eq!(send(&open, "GET", &format!("{API}/WhoAmI"), &[("authorization", "x")]).status, 200);
}

#[test]
fn sql_users_prove_their_password() {
    let (service, folder) = guarded(&["--tls", "auto"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let connect = |user: &str, password: Option<&str>, database: &str| {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(service.pg_port.parse().expect("a port"));
        config.user(user).dbname(database).password(password.unwrap_or_default());
        runtime.block_on(async {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            client.query_one("SELECT COUNT(*) AS jobs FROM asyncoperation", &[]).await
        })
    };
    let row = connect("reader", Some("pa's swörd"), "sysjob").expect("let in");
    assert_eq!(row.get::<_, i64>(0), 2);
    for (user, password, database, state) in [
        ("reader", "wrong", "sysjob", "28P01"),
        ("operator", "", "sysjob", "28P01"),
        ("operator", "operator-token", "sysjob", "28P01"),
        ("nobody", "pa's swörd", "sysjob", "28P01"),
        ("Reader", "pa's swörd", "sysjob", "28P01"),
        ("reader", "pa's swörd", "other", "3D000"),
    ] {
        let error = connect(user, Some(password), database).expect_err(user);
        let code = error.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some(state), "{user} {password}: {error:?}");
    }
    // libpq sends no name in its proof, and knows of channel binding.
    let pem = folder.path().join("jobs/tls/cert.pem").display().to_string();
    for (ssl, password, fine) in [
        ("disable", "pa\\'s swörd", true),
        ("disable", "wrong", false),
        (&format!("verify-full sslrootcert={pem}"), "pa\\'s swörd", true),
    ] {
        let start = format!(
            "host=localhost hostaddr=127.0.0.1 port={} dbname=sysjob user=reader sslmode={ssl} password='{password}'",
            service.pg_port
        );
        if let Some((ok, out, err)) = service.psql(&["-t", "-c", "SELECT 1 AS x", "-d", &start]) {
            assert_eq!(ok, fine, "{ssl}: {err}");
            assert!(
                ok && out == "1\n"
                    || err.contains("password authentication failed for user \"reader\""),
                "{out} {err}"
            );
        }
    }
}

#[test]
fn other_machines_need_credentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("jobs").display().to_string();
    let serve = ["serve", "--http", "0.0.0.0:0", "--pg", "127.0.0.1:0", "--data-dir", &data];
    let refused = error(&sysjob(&serve));
    assert!(refused.contains("--http 0.0.0.0:0 is not a loopback address"), "{refused}");
    assert!(refused.contains("--auth"), "{refused}");
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, "[[users]]\nname = 'a'\nrol = 'reader'\n").expect("written");
    let bad = bad.display().to_string();
    let refused = error(&sysjob(&[&serve[..], &["--auth", &bad]].concat()));
    assert!(refused.contains("bad.toml line 3: unknown field `rol`"), "{refused}");
    let (service, _folder) = guarded(&["--http", "0.0.0.0:0"]);
    let port = service.http.rsplit(':').next().expect("a port");
    assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    assert_eq!(service.terminate(), Some(0));
    let (service, _folder) = guarded(&[]);
    let question = ["query", "-e", "SELECT 1 AS x", "--format", "csv", "--url", &service.http];
    let asked = sysjob(&[&question[..], &["--token", "reader-token"]].concat());
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "x\n1\n", "{asked:?}");
    assert!(error(&sysjob(&question)).contains("no bearer token"));
}
