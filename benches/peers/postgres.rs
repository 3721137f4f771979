//! A PostgreSQL server of its own for one run of the bench.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

use super::dataset::{Dataset, TABLES, create};
use super::wire::Wire;

pub struct Server {
    process: Child,
    pub wire: Wire,
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
    pub async fn start(folder: &Path) -> Option<Self> {
        let home = folder.join("postgres");
        std::fs::create_dir(&home).expect("a new folder");
        let mode =
            |mode| <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
        std::fs::set_permissions(&home, mode(0o777)).expect("our own folder");
        std::fs::set_permissions(folder, mode(0o755)).expect("our own folder");
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
            .args(["-c", "max_wal_size=8GB", "-c", "work_mem=256MB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let config = format!("host={} user=bench dbname=postgres", home.display());
        while tokio_postgres::connect(&config, NoTls).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some(Self { process, wire: Wire { config } })
    }

    /// Loads the files; how long `COPY` took. Both tables have their primary key, jobs
    /// an index on `createdon` too.
    pub async fn load(&self, dataset: &Dataset) -> Duration {
        let client = self.wire.connect().await;
        let start = Instant::now();
        for (table, (name, _)) in TABLES.iter().enumerate() {
            client.batch_execute(&create(table, "PRIMARY KEY")).await.expect("created");
            let file = dataset.csv(table);
            let copy = format!("COPY {name} FROM '{}' (FORMAT csv, HEADER)", file.display());
            client.batch_execute(&copy).await.expect("copied");
        }
        let took = start.elapsed();
        client.batch_execute("CREATE INDEX ON asyncoperation (createdon)").await.expect("indexed");
        client.batch_execute("VACUUM ANALYZE").await.expect("analyzed");
        took
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
