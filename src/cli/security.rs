//! The options that guard a service: TLS and credentials.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::tls::CertificateFiles;

/// How connections are encrypted.
#[derive(Args, Clone)]
pub struct Tls {
    /// The certificate for https and encrypted SQL connections, with its chain, PEM
    #[arg(long, env = "SYSJOB_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, env = "SYSJOB_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// auto: make a self-signed certificate and keep it in the data folder
    #[arg(long, env = "SYSJOB_TLS", conflicts_with_all = ["tls_cert", "tls_key"])]
    tls: Option<TlsMode>,
}

/// Who is let in.
#[derive(Args, Clone)]
pub struct Auth {
    /// The users with their roles, tokens, OAuth clients and SQL passwords, TOML;
    /// without it anybody on this machine is let in
    #[arg(long, env = "SYSJOB_AUTH", value_name = "FILE")]
    auth: Option<PathBuf>,
}

impl Auth {
    /// The users, if there is a file of them.
    pub fn credentials(&self) -> Result<Option<Arc<Credentials>>> {
        self.auth.as_deref().map(|file| Credentials::read(file).map(Arc::new)).transpose()
    }
}

/// Whether a listener may take an address: other machines only get in with
/// credentials.
pub fn guarded(name: &str, address: SocketAddr, credentials: bool) -> Result<()> {
    if address.ip().is_loopback() || credentials {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        codes::ACCESS_DENIED,
        format!(
            "--{name} {address} is not a loopback address, and no credentials are configured to guard it; name a file of users with --auth"
        ),
    ))
}

#[derive(Clone, Copy, ValueEnum)]
enum TlsMode {
    Auto,
}

impl Tls {
    /// The certificate to use, if connections are to be encrypted. An own one is
    /// for this machine's names and the addresses it listens on.
    pub fn certificate(
        &self,
        data_dir: &Path,
        addresses: &[SocketAddr],
    ) -> Result<Option<CertificateFiles>> {
        match (&self.tls_cert, &self.tls_key, self.tls) {
            (Some(certificate), Some(key), _) => {
                let (certificate, key) = (certificate.clone(), key.clone());
                Ok(Some(CertificateFiles { certificate, key }))
            }
            (_, _, Some(TlsMode::Auto)) => {
                let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
                hosts.extend(host_name());
                hosts.extend(
                    addresses
                        .iter()
                        .filter(|a| !a.ip().is_unspecified())
                        .map(|a| a.ip().to_string()),
                );
                hosts.sort();
                hosts.dedup();
                let files = CertificateFiles::own(data_dir, &hosts)?;
                println!("certificate {}", files.certificate.display());
                Ok(Some(files))
            }
            _ => Ok(None),
        }
    }
}

/// The name of this machine, where the system tells it in a file.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .ok()?;
    let name = name.trim();
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    (!name.is_empty() && name.chars().all(sound)).then(|| name.to_owned())
}
