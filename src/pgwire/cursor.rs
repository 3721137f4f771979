//! Cursors of `DECLARE`: a query's rows, taken in parts. A cursor keeps the
//! stream of its query, not the rows, and so moves only forward; one that is declared
//! `SCROLL` keeps them ([`super::scroll`]).

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::{StreamExt, stream};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::encode::Batches;
use super::error::{from_datafusion, plain, state, to_wire};
use super::scan::{Kind, Token};
use super::scroll::Scroll;

/// `DECLARE name CURSOR`, without its query.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub name: String,
    pub binary: bool,
    /// It outlives its transaction.
    pub hold: bool,
    /// It goes back, too.
    pub scroll: bool,
}

/// `FETCH` or `MOVE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    pub name: String,
    pub direction: Direction,
    /// `MOVE`: the rows are passed over.
    pub passes: bool,
}

/// Which rows are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Direction {
    /// The next rows; `None` for all.
    Forward(Option<u64>),
    /// The rows before, the nearest first.
    Backward(Option<u64>),
    /// The row at a position from 1, seen from here or from the start; below zero it
    /// is counted from the end, where the last is -1.
    Relative(i64),
    Absolute(i64),
}

/// A cursor as the session keeps it.
#[derive(Clone)]
pub struct Open {
    pub declaration: Declaration,
    pub schema: SchemaRef,
    /// The request that declared it, for the places of errors.
    pub text: Arc<str>,
    /// When, in microseconds.
    pub opened: i64,
    /// Whether its transaction is over, which it outlives.
    pub held: bool,
    rows: Rows,
}

#[derive(Clone)]
enum Rows {
    Passing(Arc<Mutex<Cursor>>),
    Kept(Arc<Mutex<Scroll>>),
}

/// A query in progress.
struct Cursor {
    batches: Batches,
    /// Rows that have come and are not taken yet.
    rest: Option<RecordBatch>,
    /// The row that was taken last; none before the first and behind the last.
    current: Option<RecordBatch>,
    /// How many rows have been taken.
    taken: u64,
    ended: bool,
}

impl Open {
    pub fn new(
        declaration: Declaration,
        schema: SchemaRef,
        batches: Batches,
        text: Arc<str>,
        opened: i64,
        memory: MemoryReservation,
    ) -> Self {
        let rows = if declaration.scroll {
            Rows::Kept(Arc::new(Mutex::new(Scroll::new(batches, memory))))
        } else {
            let cursor = Cursor { batches, rest: None, current: None, taken: 0, ended: false };
            Rows::Passing(Arc::new(Mutex::new(cursor)))
        };
        Self { declaration, schema, text, opened, held: false, rows }
    }

    /// The rows of a `FETCH`, as they come.
    pub async fn fetch(&self, direction: Direction) -> PgWireResult<Batches> {
        let failed = |error| to_wire(&from_datafusion(error), &self.text);
        let mut cursor = match &self.rows {
            Rows::Passing(cursor) => cursor.clone().lock_owned().await,
            Rows::Kept(scroll) => {
                let rows = scroll.lock().await.fetch(direction).await.map_err(failed)?;
                return Ok(stream::iter(rows.into_iter().map(Ok)).boxed());
            }
        };
        let (skipped, wanted) = cursor.plan(direction)?;
        match wanted {
            Wanted::Current => Ok(stream::iter(cursor.current.clone().map(Ok)).boxed()),
            Wanted::Last => {
                cursor.skip(u64::MAX, true).await.map_err(failed)?;
                Ok(stream::iter(cursor.current.clone().map(Ok)).boxed())
            }
            Wanted::Next(count) => {
                let passed = cursor.skip(skipped, false).await.map_err(failed)?;
                let count = if passed < skipped { 0 } else { count };
                Ok(rows(cursor, count))
            }
        }
    }

    /// How many rows a `MOVE` passes.
    pub async fn pass(&self, direction: Direction) -> PgWireResult<u64> {
        let mut rows = self.fetch(direction).await?;
        let mut passed = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|e| to_wire(&from_datafusion(e), &self.text))?;
            passed += batch.num_rows() as u64;
        }
        Ok(passed)
    }
}

enum Wanted {
    Next(u64),
    Current,
    Last,
}

impl Cursor {
    /// How many rows are skipped, and what is wanted then.
    fn plan(&self, direction: Direction) -> PgWireResult<(u64, Wanted)> {
        let position = self.taken + u64::from(self.ended);
        let places = match direction {
            Direction::Forward(None) => (0, Wanted::Next(u64::MAX)),
            Direction::Forward(Some(0)) | Direction::Relative(0) => (0, Wanted::Current),
            Direction::Forward(Some(count)) => (0, Wanted::Next(count)),
            Direction::Absolute(-1) if !self.ended => (0, Wanted::Last),
            Direction::Relative(steps) => {
                let steps = u64::try_from(steps).map_err(|_| only_forward())?;
                (steps - 1, Wanted::Next(1))
            }
            Direction::Absolute(row) => match u64::try_from(row) {
                Ok(row) if row > position => (row - position - 1, Wanted::Next(1)),
                Ok(row) if row == position => (0, Wanted::Current),
                _ => return Err(only_forward()),
            },
            Direction::Backward(_) => return Err(only_forward()),
        };
        Ok(places)
    }

    /// The next rows, at most so many; `None` at the end.
    async fn next(&mut self, most: u64) -> Result<Option<RecordBatch>, DataFusionError> {
        let batch = loop {
            match self.rest.take() {
                Some(batch) if batch.num_rows() > 0 => break batch,
                _ if self.ended => return Ok(None),
                _ => match self.batches.next().await {
                    Some(batch) => self.rest = Some(batch?),
                    None => {
                        (self.ended, self.current) = (true, None);
                        return Ok(None);
                    }
                },
            }
        };
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(batch.num_rows());
        if count < batch.num_rows() {
            self.rest = Some(batch.slice(count, batch.num_rows() - count));
        }
        self.taken += count as u64;
        self.current = Some(batch.slice(count - 1, 1));
        Ok(Some(batch.slice(0, count)))
    }

    /// Passes over rows; with `keep` the last of all stays the current one.
    async fn skip(&mut self, mut count: u64, keep: bool) -> Result<u64, DataFusionError> {
        let mut passed = 0;
        while count > 0 {
            let last = self.current.clone();
            let Some(batch) = self.next(count).await? else {
                if keep {
                    (self.current, self.ended) = (last, true);
                    // It stands on the last row, not behind it.
                    self.taken = self.taken.saturating_sub(1);
                }
                break;
            };
            passed += batch.num_rows() as u64;
            count -= batch.num_rows() as u64;
        }
        Ok(passed)
    }
}

/// At most so many rows; the cursor is free again when they have been taken.
fn rows(cursor: OwnedMutexGuard<Cursor>, count: u64) -> Batches {
    let take = |(mut cursor, left): (OwnedMutexGuard<Cursor>, u64)| async move {
        if left == 0 {
            return None;
        }
        match cursor.next(left).await {
            Ok(None) => None,
            Ok(Some(batch)) => {
                let left = left - batch.num_rows() as u64;
                Some((Ok(batch), (cursor, left)))
            }
            Err(error) => Some((Err(error), (cursor, 0))),
        }
    };
    stream::unfold((cursor, count), take).boxed()
}

fn only_forward() -> PgWireError {
    let mut info =
        ErrorInfo::new("ERROR".into(), "55000".into(), "cursor can only scan forward".into());
    info.hint = Some("Declare it with SCROLL option to enable backward scan.".into());
    PgWireError::UserError(Box::new(info))
}

/// Reads `DECLARE … CURSOR … FOR`; where its query begins is told as well.
pub fn read_declare(tokens: &[Token<'_>]) -> PgWireResult<Option<(Declaration, usize)>> {
    let [declare, name, rest @ ..] = tokens else { return Ok(None) };
    let cursor = rest.iter().position(|t| t.is("cursor"));
    let (Some(cursor), true) = (cursor, declare.is("declare")) else { return Ok(None) };
    if name.text.starts_with('@') || !matches!(name.kind, Kind::Word | Kind::Quoted) {
        return Ok(None);
    }
    let mut declaration =
        Declaration { name: name.value(), binary: false, hold: false, scroll: false };
    let mut no = false;
    for option in &rest[..cursor] {
        let before = std::mem::take(&mut no);
        match option.value().as_str() {
            "binary" => declaration.binary = true,
            "no" => no = true,
            "scroll" => declaration.scroll = !before,
            "asensitive" | "insensitive" => {}
            _ => return Err(syntax(option)),
        }
    }
    let unsupported = "cursors are declared as DECLARE name CURSOR [WITH HOLD] FOR query; \
                       the options of Transact-SQL's are not supported";
    let rest = &rest[cursor + 1..];
    let rest = match rest {
        [with, hold, rest @ ..] if hold.is("hold") && (with.is("with") || with.is("without")) => {
            declaration.hold = with.is("with");
            rest
        }
        rest => rest,
    };
    match rest {
        [word, query, ..] if word.is("for") => Ok(Some((declaration, query.start))),
        [word] if word.is("for") => Err(plain(state::SYNTAX, "syntax error at end of input")),
        _ => Err(plain(state::NOT_SUPPORTED, unsupported)),
    }
}

/// Reads `FETCH` and `MOVE`.
pub fn read_fetch(tokens: &[Token<'_>]) -> PgWireResult<Option<Fetch>> {
    let passes = tokens[0].is("move");
    if !passes && !tokens[0].is("fetch") {
        return Ok(None);
    }
    let values: Vec<String> = tokens[1..].iter().map(Token::value).collect();
    let mut words: Vec<&str> = values.iter().map(String::as_str).collect();
    let Some(name) = words.pop() else {
        return Err(plain(state::SYNTAX, "syntax error at end of input"));
    };
    if words.contains(&"into") {
        let message = "FETCH … INTO is not supported: rows go to the client";
        return Err(plain(state::NOT_SUPPORTED, message));
    }
    if words.last().is_some_and(|word| matches!(*word, "from" | "in")) {
        words.pop();
    }
    let count = |digits: &[&str]| -> PgWireResult<i64> {
        let text = digits.concat();
        text.parse().map_err(|_| {
            plain(state::SYNTAX, format!("syntax error at or near \"{text}\": a row count"))
        })
    };
    let on = |count: i64| match count {
        0.. => Direction::Forward(Some(count.unsigned_abs())),
        _ => Direction::Backward(Some(count.unsigned_abs())),
    };
    let direction = match words.as_slice() {
        [] | ["next" | "forward"] => Direction::Forward(Some(1)),
        ["all"] | ["forward", "all"] => Direction::Forward(None),
        ["first"] => Direction::Absolute(1),
        ["last"] => Direction::Absolute(-1),
        ["prior" | "backward"] => Direction::Backward(Some(1)),
        ["backward", "all"] => Direction::Backward(None),
        ["absolute", digits @ ..] if !digits.is_empty() => Direction::Absolute(count(digits)?),
        ["relative", digits @ ..] if !digits.is_empty() => Direction::Relative(count(digits)?),
        ["backward", digits @ ..] => on(count(digits)?.saturating_neg()),
        ["forward", digits @ ..] | digits => on(count(digits)?),
    };
    Ok(Some(Fetch { name: name.to_owned(), direction, passes }))
}

fn syntax(near: &Token<'_>) -> PgWireError {
    plain(state::SYNTAX, format!("syntax error at or near \"{}\"", near.text))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use datafusion::arrow::array::{AsArray, Int32Array};
    use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Schema};

    use super::super::scan::statements;
    use super::*;

    fn open(batches: &[Range<i32>]) -> Open {
        declared(batches, false)
    }

    fn declared(batches: &[Range<i32>], scroll: bool) -> Open {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
        let batch = |numbers: &Range<i32>| {
            let column = Arc::new(Int32Array::from_iter_values(numbers.clone()));
            Ok(RecordBatch::try_new(schema.clone(), vec![column]).expect("one column"))
        };
        let batches: Vec<_> = batches.iter().map(batch).collect();
        let declaration = Declaration { name: "c".into(), binary: false, hold: false, scroll };
        let memory = crate::engine::Engine::new().reservation("a test");
        let batches = stream::iter(batches).boxed();
        Open::new(declaration, schema.clone(), batches, "".into(), 0, memory)
    }

    async fn fetch(cursor: &Open, text: &str) -> Result<Vec<i32>, String> {
        let fetch = read_fetch(&statements(text)[0]).expect(text).expect(text);
        let code = |e| ErrorInfo::from(e).code;
        let mut batches = cursor.fetch(fetch.direction).await.map_err(code)?;
        let mut found = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = batch.expect("no failure");
            found.extend(batch.column(0).as_primitive::<Int32Type>().values());
        }
        Ok(found)
    }

    #[tokio::test]
    async fn rows_are_taken_forward_in_every_spelling() {
        let cursor = open(&[0..3, 3..3, 3..5, 5..9]);
        for (text, expected) in [
            ("FETCH RELATIVE 0 FROM c", vec![]),
            ("FETCH c", vec![0]),
            ("FETCH FORWARD 3 FROM c", vec![1, 2, 3]),
            ("FETCH 0 IN c", vec![3]),
            ("FETCH ABSOLUTE 4 FROM c", vec![3]),
            ("FETCH RELATIVE 2 FROM c", vec![5]),
            ("FETCH ABSOLUTE 8 c", vec![7]),
            ("FETCH BACKWARD -1 FROM c", vec![8]),
            ("FETCH NEXT FROM c", vec![]),
            ("FETCH ALL IN \"c\"", vec![]),
            ("FETCH RELATIVE 0 FROM c", vec![]),
        ] {
            assert_eq!(fetch(&cursor, text).await, Ok(expected), "{text}");
        }
        for text in ["FETCH PRIOR FROM c", "FETCH FIRST FROM c", "FETCH -2 FROM c", "FETCH LAST c"]
        {
            assert_eq!(fetch(&cursor, text).await, Err("55000".to_owned()), "{text}");
        }
        let cursor = open(&[0..3, 3..5]);
        assert_eq!(fetch(&cursor, "FETCH FIRST FROM c").await, Ok(vec![0]));
        assert_eq!(fetch(&cursor, "FETCH LAST FROM c").await, Ok(vec![4]));
        assert_eq!(fetch(&cursor, "FETCH 0 FROM c").await, Ok(vec![4]));
        assert_eq!(fetch(&cursor, "FETCH NEXT FROM c").await, Ok(vec![]));
        let cursor = open(&[0..1, 1..3]);
        assert_eq!(cursor.pass(Direction::Forward(Some(2))).await.expect("moved"), 2);
        assert_eq!(fetch(&cursor, "FETCH ALL FROM c").await, Ok(vec![2]));
        assert_eq!(cursor.pass(Direction::Forward(None)).await.expect("moved"), 0);
    }

    #[tokio::test]
    async fn scroll_goes_both_ways() {
        let cursor = declared(&[0..3, 3..3, 3..5], true);
        for (text, expected) in [
            ("FETCH PRIOR FROM c", vec![]),
            ("FETCH 2 FROM c", vec![0, 1]),
            ("FETCH PRIOR FROM c", vec![0]),
            ("FETCH LAST FROM c", vec![4]),
            ("FETCH 0 FROM c", vec![4]),
            ("FETCH NEXT FROM c", vec![]),
            ("FETCH BACKWARD 3 FROM c", vec![4, 3, 2]),
            ("FETCH RELATIVE -1 FROM c", vec![1]),
            ("FETCH ABSOLUTE -2 FROM c", vec![3]),
            ("FETCH ABSOLUTE 9 FROM c", vec![]),
            ("FETCH -1 FROM c", vec![4]),
            ("FETCH BACKWARD ALL FROM c", vec![3, 2, 1, 0]),
            ("FETCH RELATIVE 0 FROM c", vec![]),
            ("FETCH ABSOLUTE 0 FROM c", vec![]),
            ("FETCH ABSOLUTE -9 FROM c", vec![]),
            ("FETCH FORWARD ALL FROM c", vec![0, 1, 2, 3, 4]),
            ("FETCH ALL FROM c", vec![]),
            ("FETCH FIRST FROM c", vec![0]),
            ("FETCH BACKWARD -2 FROM c", vec![1, 2]),
        ] {
            assert_eq!(fetch(&cursor, text).await, Ok(expected), "{text}");
        }
        assert_eq!(cursor.pass(Direction::Backward(Some(2))).await.expect("moved"), 2);
        assert_eq!(cursor.pass(Direction::Forward(None)).await.expect("moved"), 4);
    }

    #[test]
    fn declarations() {
        let read = |text: &str| read_declare(&statements(text)[0]);
        let text = "DECLARE \"A b\" BINARY INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR SELECT 1";
        let (declaration, start) = read(text).expect("valid").expect("a cursor");
        let expected = Declaration { name: "A b".into(), binary: true, hold: true, scroll: false };
        assert_eq!(declaration, expected);
        assert_eq!(&text[start..], "SELECT 1");
        let (declaration, _) =
            read("DECLARE c SCROLL CURSOR FOR SELECT 1").expect("valid").expect("a cursor");
        assert!(declaration.scroll);
        assert_eq!(read("DECLARE @c int").expect("not ours"), None);
        assert!(read("DECLARE c CURSOR LOCAL FAST_FORWARD FOR SELECT 1").is_err());
        assert!(read("DECLARE c CURSOR FOR").is_err());
    }
}
