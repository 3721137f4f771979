//! Certificates for the listeners: one that the user gives, or one that sysjob
//! makes for itself and keeps in the data folder.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Utc};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result, codes};

/// How long a certificate that sysjob makes is valid.
const YEARS: i32 = 10;

/// Where a surface listens: a bound socket, with TLS or without.
pub struct Endpoint {
    pub listener: TcpListener,
    pub tls: Option<Arc<ServerConfig>>,
}

impl From<TcpListener> for Endpoint {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

/// The cryptography behind TLS, of servers and clients alike.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A certificate chain with its key, both PEM files.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl CertificateFiles {
    /// The certificate kept in a data folder; made if there is none yet. It
    /// signs itself, so clients can be given it as the authority to trust.
    pub fn own(folder: &Path, hosts: &[String]) -> Result<Self> {
        let folder = folder.join("tls");
        let files = Self { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        if !files.certificate.exists() || !files.key.exists() {
            files.make(&folder, hosts)?;
        }
        Ok(files)
    }

    fn make(&self, folder: &Path, hosts: &[String]) -> Result<()> {
        let failed = |e: rcgen::Error| Error::internal("no certificate could be made").caused_by(e);
        let mut params = CertificateParams::new(hosts).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "sysjob");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Clients' clocks may be behind.
        let today = DateTime::<Utc>::from_timestamp_micros(SystemClock.now())
            .and_then(|now| now.checked_sub_days(Days::new(1)))
            .ok_or_else(|| Error::internal("the clock is out of range"))?;
        let date = |year| date_time_ymd(year, today.month() as u8, today.day().min(28) as u8);
        params.not_before = date(today.year());
        params.not_after = date(today.year() + YEARS);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        fs::create_dir_all(folder).map_err(|e| unwritable(folder, e))?;
        // The certificate comes last: a folder that has it has its key too.
        write(folder, &self.key, &key.serialize_pem())?;
        write(folder, &self.certificate, &certificate.pem())
    }

    /// What a listener needs; `protocol` is the one it speaks, for clients that
    /// negotiate it.
    pub fn server(&self, protocol: &str) -> Result<Arc<ServerConfig>> {
        let read = |file: &Path| {
            fs::read(file).map_err(|e| {
                invalid(format!("'{}' cannot be read: {e}", file.display())).caused_by(e)
            })
        };
        let certificates = read(&self.certificate)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificates)
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| {
                let file = self.certificate.display();
                invalid(format!("'{file}' is not a PEM file of certificates: {e}"))
            })?;
        if chain.is_empty() {
            let message = format!("'{}' holds no PEM certificate", self.certificate.display());
            return Err(invalid(message));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|e| {
            invalid(format!("'{}' holds no PEM private key: {e}", self.key.display()))
        })?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::internal("no version of TLS is available").caused_by(e))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| {
                let (certificate, key) = (self.certificate.display(), self.key.display());
                let message =
                    format!("certificate '{certificate}' and key '{key}' cannot be used: {e}");
                invalid(message).caused_by(e)
            })?;
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(Arc::new(config))
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, codes::INVALID_ARGUMENT, message)
}

fn unwritable(path: &Path, e: std::io::Error) -> Error {
    Error::data(format!("'{}' cannot be written: {e}", path.display())).caused_by(e)
}

/// Writes a file that only its owner can read, whole or not at all.
fn write(folder: &Path, path: &Path, text: &str) -> Result<()> {
    let failed = |e| unwritable(path, e);
    // Temporary files are for their owner only.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<String> {
        ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
    }

    #[test]
    fn an_own_certificate_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = CertificateFiles::own(folder.path(), &hosts()).expect("made");
        files.server("http/1.1").expect("usable");
        let read = |path: &Path| fs::read_to_string(path).expect("readable");
        let (certificate, key) = (read(&files.certificate), read(&files.key));
        let again = CertificateFiles::own(folder.path(), &hosts()).expect("kept");
        assert_eq!((read(&again.certificate), read(&again.key)), (certificate, key));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&files.key).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        // A half of the pair is of no use.
        fs::remove_file(&files.key).expect("removed");
        let anew = CertificateFiles::own(folder.path(), &hosts()).expect("made anew");
        anew.server("http/1.1").expect("certificate and key belong together");
    }

    #[test]
    fn unusable_files_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = CertificateFiles::own(folder.path(), &hosts()).expect("made");
        let text = folder.path().join("text.pem");
        fs::write(&text, "no certificate").expect("written");
        let missing = folder.path().join("missing.pem");
        for (certificate, key, part) in [
            (&text, &files.key, "text.pem' holds no PEM certificate"),
            (&files.certificate, &text, "text.pem' holds no PEM private key"),
            (&missing, &files.key, "missing.pem' cannot be read"),
            (&files.certificate, &missing, "missing.pem' cannot be read"),
            (&files.key, &files.key, "key.pem' holds no PEM certificate"),
            (&files.certificate, &files.certificate, "cert.pem' holds no PEM private key"),
        ] {
            let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
            let error = files.server("http/1.1").expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
        let stranger = tempfile::tempdir().expect("a folder");
        let key = CertificateFiles::own(stranger.path(), &hosts()).expect("made").key;
        let error = CertificateFiles { key, ..files }.server("http/1.1").expect_err("no pair");
        assert!(error.to_string().contains("cannot be used"), "{error}");
    }
}
