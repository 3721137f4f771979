//! A PostgreSQL server of its own for one run of the bench.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::{SinkExt, TryStreamExt};
use tokio_postgres::{Client, NoTls};

/// The columns that are loaded, with PostgreSQL's types.
const COLUMNS: [(&str, &str); 11] = [
    ("asyncoperationid", "uuid PRIMARY KEY"),
    ("statecode", "int"),
    ("statuscode", "int"),
    ("operationtype", "int"),
    ("name", "text"),
    ("ownerid", "uuid"),
    ("owningextensionid", "uuid"),
    ("datablobid", "uuid"),
    ("createdon", "timestamp"),
    ("executiontimespan", "float8"),
    ("sequence", "bigint"),
];

pub struct Server {
    process: Child,
    socket: PathBuf,
}

/// A command that runs as the user `postgres` where we are root, which
/// PostgreSQL refuses to be.
fn command(program: &str) -> Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| {
        use std::os::unix::fs::MetadataExt;
        m.uid() == 0
    });
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
    command
}

impl Server {
    /// `None` where PostgreSQL is not installed.
    pub fn start(folder: &Path) -> Option<Self> {
        let home = folder.join("postgres");
        std::fs::create_dir(&home).expect("a new folder");
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&home, everyone).expect("our own folder");
        let reachable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder, reachable).expect("our own folder");
        let data = home.join("data");
        let made = command("initdb")
            .args(["--auth=trust", "--username=bench", "--no-sync", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return None;
        }
        let process = command("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&home)
            .args(["-c", "listen_addresses=", "-c", "shared_buffers=2GB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { process, socket: home })
    }

    fn config(&self) -> String {
        format!("host={} user=bench dbname=postgres", self.socket.display())
    }

    pub async fn connect(&self) -> Client {
        super::sysjob::connect(&self.config()).await
    }

    /// Waits until the server takes connections, and copies sysjob's rows into it.
    pub async fn load(&self, from: &super::sysjob::Server) {
        while tokio_postgres::connect(&self.config(), NoTls).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let client = self.connect().await;
        let columns: Vec<String> =
            COLUMNS.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let create = format!("CREATE TABLE asyncoperation ({})", columns.join(", "));
        client.batch_execute(&create).await.expect("created");
        let copy = format!("COPY (SELECT {names} FROM asyncoperation) TO STDOUT");
        let source = from.connect().await;
        let rows = source.copy_out(&copy).await.expect("sysjob copies out");
        let copy = format!("COPY asyncoperation ({names}) FROM STDIN");
        let mut sink = Box::pin(client.copy_in(&copy).await.expect("PostgreSQL copies in"));
        let mut rows = std::pin::pin!(rows.map_err(|e| panic!("sysjob copies out: {e}")));
        sink.send_all(&mut rows).await.expect("copied");
        sink.close().await.expect("copied");
        client
            .batch_execute(
                "CREATE INDEX ON asyncoperation (createdon); VACUUM ANALYZE asyncoperation",
            )
            .await
            .expect("indexed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGQUIT: at once, with its child processes; the folder goes away anyhow.
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &id]).status();
        let _ = self.process.wait();
    }
}
