//! Connections: accepted up to a number, encrypted where TLS is on, and given
//! up when a client neither sends nor ends a request in time.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};

use crate::service::Limits;
use crate::tls::Endpoint;

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// Connections beyond the limit that are told so; others are closed at once.
const REFUSALS_MAX: usize = 64;
/// What a client is told that speaks plain HTTP where TLS is on.
const PLAIN_REFUSED: &str = "This address takes https only: use https:// for it.\n";

/// Accepts connections.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<RustlsAcceptor>,
    limits: Limits,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    handshakes: JoinSet<Option<(Connection, SocketAddr)>>,
}

impl Listener {
    pub fn new(endpoint: Endpoint, limits: Limits) -> Self {
        let acceptor = |tls| {
            let config = RustlsConfig::from_config(tls);
            RustlsAcceptor::new(config).handshake_timeout(limits.header_timeout)
        };
        Self {
            tcp: endpoint.listener,
            tls: endpoint.tls.map(acceptor),
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            handshakes: JoinSet::new(),
        }
    }

    /// The place of a new connection, and whether it is one too many.
    fn place(&self) -> Option<(OwnedSemaphorePermit, bool)> {
        match self.places.clone().try_acquire_owned() {
            Ok(place) => Some((place, false)),
            Err(_) => Some((self.refusals.clone().try_acquire_owned().ok()?, true)),
        }
    }

    /// A plain connection is ready at once, an encrypted one after its handshake.
    fn begin(&mut self, tcp: TcpStream, address: SocketAddr) -> Option<Connection> {
        let (place, surplus) = self.place()?;
        // Small answers would wait for the client's acknowledgement. A socket
        // that refuses this is one that is gone.
        let _ = tcp.set_nodelay(true);
        let secure = self.tls.is_some();
        let traffic = Arc::new(Traffic { surplus, secure, ..Traffic::default() });
        let limits = self.limits;
        let Some(acceptor) = self.tls.clone() else {
            return Some(Connection::new(Stream::Plain(tcp), traffic, limits, place));
        };
        self.handshakes.spawn(async move {
            let stream = handshake(tcp, &acceptor, limits.header_timeout).await?;
            Some((Connection::new(stream, traffic, limits, place), address))
        });
        None
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((tcp, address)) => {
                        if let Some(connection) = self.begin(tcp, address) {
                            return (connection, address);
                        }
                    }
                    // Out of file descriptors, mostly: others will be given back.
                    Err(_) => sleep(Duration::from_millis(50)).await,
                },
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some(accepted)) = ended {
                        return accepted;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// The encrypted stream; nothing if the client does not manage to set it up.
async fn handshake(tcp: TcpStream, acceptor: &RustlsAcceptor, limit: Duration) -> Option<Stream> {
    let mut first = [0];
    timeout(limit, tcp.peek(&mut first)).await.ok()?.ok()?;
    if first[0] != HANDSHAKE {
        refuse_plain(tcp).await;
        return None;
    }
    let (stream, ()) = acceptor.accept(tcp, ()).await.ok()?;
    Some(Stream::Tls(Box::new(stream)))
}

/// A courtesy; whether it arrives is the client's business.
async fn refuse_plain(mut tcp: TcpStream) {
    // What is left unread would make the answer a reset.
    let _ = tcp.try_read(&mut [0; 16 * 1024]);
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PLAIN_REFUSED}",
        PLAIN_REFUSED.len()
    );
    let _ = tcp.write_all(answer.as_bytes()).await;
    let _ = tcp.shutdown().await;
}

/// What a connection and the requests on it know of each other.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Encrypted.
    pub secure: bool,
    /// Beyond the number of connections; its requests are refused.
    pub surplus: bool,
    /// Requests so far.
    begun: AtomicU64,
    /// Requests that are not answered to the end.
    open: AtomicUsize,
}

/// Held as long as a request is worked on.
pub struct Open(Arc<Traffic>);

impl Traffic {
    /// A request has come in whole, its body aside.
    pub fn begin(self: &Arc<Self>) -> Open {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection that a request came in on.
#[derive(Clone)]
pub struct Peer(pub Arc<Traffic>);

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self(stream.io().traffic.clone())
    }
}

/// A client's connection.
pub struct Connection {
    stream: Stream,
    traffic: Arc<Traffic>,
    limits: Limits,
    /// When the client has to have sent what it is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The requests that had begun when the deadline was last thought of.
    begun: u64,
    /// A part of the next request has come.
    partial: bool,
    _place: OwnedSemaphorePermit,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<<RustlsAcceptor as Accept<TcpStream, ()>>::Stream>),
}

/// Calls a method of the stream that is there.
macro_rules! on_stream {
    ($connection:expr, $method:ident($($argument:expr),*)) => {
        match &mut $connection.stream {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl Connection {
    fn new(
        stream: Stream,
        traffic: Arc<Traffic>,
        limits: Limits,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let (deadline, begun, partial) = (None, 0, false);
        Self { stream, traffic, limits, deadline, begun, partial, _place: place }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = on_stream!(self, poll_read(cx, buffer));
        let begun = self.traffic.begun.load(Ordering::Relaxed);
        if begun != self.begun || self.traffic.open.load(Ordering::Relaxed) > 0 {
            // A request is being answered, or has been since: time starts anew.
            (self.begun, self.partial, self.deadline) = (begun, false, None);
        }
        let open = self.traffic.open.load(Ordering::Relaxed) > 0;
        if read.is_ready() {
            if buffer.filled().len() > before && !open && !self.partial {
                (self.partial, self.deadline) = (true, None);
            }
            return read;
        }
        if open {
            return Poll::Pending;
        }
        let limit =
            if self.partial { self.limits.header_timeout } else { self.limits.idle_timeout };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, poll_shutdown(cx))
    }
}
