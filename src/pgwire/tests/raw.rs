//! A client that sends the messages it is told to, in any order.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Server;

/// A connection without any manners.
pub struct Raw {
    pub socket: TcpStream,
    /// Process and key, for cancel requests.
    pub key: Vec<u8>,
}

/// A message of the server: its type and what is in it.
pub type Message = (char, Vec<u8>);

impl Raw {
    pub async fn open(server: &Server) -> TcpStream {
        TcpStream::connect(("127.0.0.1", server.port)).await.expect("listening")
    }

    /// A connection that is ready for queries; `parameters` beside user and database.
    pub async fn connect(server: &Server, parameters: &[(&str, &str)]) -> Self {
        let mut raw = Self { socket: Self::open(server).await, key: Vec::new() };
        raw.send(&startup(0x0003_0000, parameters)).await;
        for (kind, body) in raw.until('Z').await {
            if kind == 'K' {
                raw.key = body;
            }
        }
        raw
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("connected");
    }

    /// The next message; `None` when the connection was closed.
    pub async fn next(&mut self) -> Option<Message> {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; length as usize - 4];
        self.socket.read_exact(&mut body).await.ok()?;
        Some((char::from(head[0]), body))
    }

    /// The messages up to one of this kind, or to the end.
    pub async fn until(&mut self, last: char) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            let kind = message.0;
            messages.push(message);
            if kind == last {
                break;
            }
        }
        messages
    }

    /// What the server answers up to `last`, shortened: types, and with them
    /// the tag of a command, the SQLSTATE of an error, the transaction's state.
    pub async fn answers(&mut self, bytes: &[u8], last: char) -> String {
        self.send(bytes).await;
        let messages = self.until(last).await;
        messages.iter().map(short).collect::<Vec<_>>().join(" ")
    }
}

fn short((kind, body): &Message) -> String {
    match kind {
        'C' => format!("C({})", text(&body[..body.len() - 1])),
        'E' | 'N' => format!("{kind}({})", error(body).0),
        'Z' => format!("Z({})", char::from(body[0])),
        'S' => {
            let pair = text(&body[..body.len() - 1]).replace('\0', "=");
            format!("S({pair})")
        }
        kind => kind.to_string(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// SQLSTATE and message of an error.
pub fn error(body: &[u8]) -> (String, String) {
    let field = |kind: u8| {
        let field = body.split(|b| *b == 0).find(|field| field.first() == Some(&kind));
        field.map(|field| text(&field[1..])).unwrap_or_default()
    };
    (field(b'C'), field(b'M'))
}

/// The values of a `DataRow`.
pub fn values(body: &[u8]) -> Vec<Option<Vec<u8>>> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    let mut next = || {
        let (length, after) = rest.split_first_chunk().expect("a length");
        let value = usize::try_from(i32::from_be_bytes(*length)).ok();
        let value = value.map(|length| after[..length].to_vec());
        rest = &after[value.as_ref().map_or(0, Vec::len)..];
        value
    };
    (0..count).map(|_| next()).collect()
}

pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    let user = [("user", "someone"), ("database", "sysjob")];
    for (name, value) in user.iter().chain(parameters) {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

pub fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0"].concat();
    body.extend((types.len() as u16).to_be_bytes());
    types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
    message(b'P', &body)
}

/// Parameters in one format, results in another; 0 is text, 1 is binary.
pub fn bind(
    portal: &str,
    statement: &str,
    format: u16,
    values: &[Option<&[u8]>],
    results: &[u16],
) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
    body.extend([1_u16.to_be_bytes(), format.to_be_bytes()].concat());
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        body.extend(value.map_or(-1, |v| v.len() as i32).to_be_bytes());
        body.extend_from_slice(value.unwrap_or_default());
    }
    body.extend((results.len() as u16).to_be_bytes());
    results.iter().for_each(|format| body.extend(format.to_be_bytes()));
    message(b'B', &body)
}

/// `S`tatement or `P`ortal.
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[kind], name.as_bytes(), b"\0"].concat())
}

pub fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[kind], name.as_bytes(), b"\0"].concat())
}

pub fn execute(portal: &str, most: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &most.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', &[])
}

pub fn flush() -> Vec<u8> {
    message(b'H', &[])
}
