//! `tail`: new entries as they come, over a WebSocket.
//!
//! The tail is opened first and then what is stored is read, so that nothing is missed between the
//! two; what comes in both is sent once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use ephemeris_model::Direction;
use ephemeris_query::budget::Budget;
use ephemeris_query::logs::ast::{Expr, LogExpr};
use ephemeris_query::logs::engine::{EntryQuery, LogEngine};
use ephemeris_query::logs::parse::parse;
use ephemeris_query::logs::result::{Categories, EntriesAnswer, LogEntry};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, StatusCode};

use super::answer;
use super::error::LokiError;
use super::held::Held;
use super::params;
use super::request::{LokiRequest, now_ns};
use super::tenants::Tenants;
use crate::api::Tenant;
use crate::app::App;
use crate::middleware::cors;
use crate::tails::{Tail, Taken, TooMany};
use crate::workers::{CancelOnDrop, PoolError};

/// Longest `delay_for`, in seconds.
const DELAY_MAX: u64 = 5;
/// How often the client is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long the client may take for a frame.
const SEND_MAX: Duration = Duration::from_secs(15);
/// Bytes of a message of the client, who has nothing to say.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Bytes of the reason in a close frame.
const REASON_BYTES_MAX: usize = 120;
/// How long to wait for a worker before asking again.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// What a client asks for.
struct Session {
    app: Arc<App>,
    tenant: Tenant,
    tail: Tail,
    expr: Arc<LogExpr>,
    categories: Categories,
    delay: Duration,
    /// What was read from the store: `(time, line, labels)` as one hash.
    seen: HashSet<u128>,
}

/// Opens a tail.
///
/// # Errors
/// If a parameter is wrong, there are too many tails, or the client speaks no WebSocket.
pub async fn tail(
    State(app): State<Arc<App>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    headers: HeaderMap,
    request: LokiRequest,
) -> Result<Response, LokiError> {
    check_origin(&app, &headers)?;
    let delay = delay(&request)?;
    let limit = params::limit(&request.form)?;
    let range = params::range(&request.form, now_ns(&app))?;
    let history = EntryQuery {
        start_ns: range.start,
        end_ns: i64::MAX,
        direction: Direction::Backward,
        limit,
        interval_ns: 0,
    };
    let tenant = request.only_tenant("tail")?.clone();
    let upgrade = upgrade.map_err(|error| LokiError::new(error.status(), error.body_text()))?;
    let query = request.form.get("query").unwrap_or_default().to_owned();
    let deadline = Instant::now() + app.config.query.timeout;
    let parsing = app.queries.run(tenant.as_str(), deadline, move |_| parse(&query));
    let expr = parsing.await??;
    let Expr::Log(expr) = expr else {
        return Err(LokiError::bad("tail takes a log query; this one answers numbers"));
    };
    let tail = app.tails.open(tenant.as_str(), expr.matchers.clone()).map_err(refused)?;
    let session = Session {
        app: Arc::clone(&app),
        tenant: tenant.clone(),
        tail,
        expr: Arc::new(expr),
        categories: request.categories,
        delay,
        seen: HashSet::new(),
    };
    let expr = Arc::clone(&session.expr);
    let read = move |source: &Tenants, budget: &Budget| {
        Ok(LogEngine.entries(source, &expr, history, budget)?)
    };
    let stored = request.read(&app, read).await?;
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| session.serve(socket, stored)))
}

fn refused(TooMany { count, limit }: TooMany) -> LokiError {
    LokiError::bad(format!(
        "max concurrent tail requests limit exceeded, count > limit ({count} > {limit}) \
         (query.tails_max)"
    ))
}

fn delay(request: &LokiRequest) -> Result<Duration, LokiError> {
    let text = request.form.get("delay_for").unwrap_or("0");
    match text.parse::<u64>() {
        Ok(seconds) if seconds <= DELAY_MAX => Ok(Duration::from_secs(seconds)),
        Ok(seconds) => {
            Err(LokiError::bad(format!("delay_for is {seconds}; it can't be greater than 5")))
        }
        Err(_) => Err(LokiError::bad(format!(
            "could not parse 'delay_for' parameter: {text:?}; whole seconds up to 5 are allowed"
        ))),
    }
}

/// A browser lets any page open a WebSocket, so the server has to look who it is.
fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), LokiError> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let own = headers.get(HOST).and_then(|host| host.to_str().ok());
    let text = origin.to_str().unwrap_or_default();
    let is_own = text.split_once("://").is_some_and(|(_, host)| Some(host) == own);
    if is_own || cors::allowed(&app.config.http.cors_origins, origin).is_some() {
        return Ok(());
    }
    let text = format!("origin {text:?} is not allowed (http.cors_origins)");
    Err(LokiError::new(StatusCode::FORBIDDEN, text))
}

/// Why a tail ends.
enum End {
    /// The client went away, or takes too long.
    Gone,
    /// The server stops.
    Stopping,
    /// The query failed.
    Failed(String),
}

impl Session {
    async fn serve(mut self, mut socket: WebSocket, stored: EntriesAnswer) {
        let end = match self.send_stored(&mut socket, stored).await {
            Ok(()) => self.follow(&mut socket).await,
            Err(end) => end,
        };
        let (code, reason) = match end {
            End::Gone => return,
            End::Stopping => (close_code::AWAY, "the server stops".to_owned()),
            End::Failed(text) => (close_code::ERROR, text),
        };
        let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        // Who does not take it has gone.
        let _ = tokio::time::timeout(SEND_MAX, socket.send(close)).await;
    }

    async fn send_stored(
        &mut self,
        socket: &mut WebSocket,
        mut stored: EntriesAnswer,
    ) -> Result<(), End> {
        stored.entries.reverse();
        self.seen.extend(stored.entries.iter().map(hash));
        self.send(socket, &stored, &Taken::default()).await
    }

    async fn follow(&mut self, socket: &mut WebSocket) -> End {
        let mut ping = tokio::time::interval(PING_INTERVAL);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let sent = tokio::select! {
                () = self.tail.stopped() => return End::Stopping,
                message = socket.recv() => match message {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return End::Gone,
                    Some(Ok(_)) => Ok(()),
                },
                _ = ping.tick() => push(socket, Message::Ping(bytes::Bytes::new())).await,
                () = self.tail.due(self.delay) => {
                    let taken = self.tail.take(self.delay);
                    self.send_new(socket, taken).await
                }
            };
            if let Err(end) = sent {
                return end;
            }
        }
    }

    async fn send_new(&mut self, socket: &mut WebSocket, taken: Taken) -> Result<(), End> {
        let taken = Arc::new(taken);
        let mut answer = self.filter(&taken).await?;
        answer.entries.retain(|entry| !self.seen.contains(&hash(entry)));
        self.send(socket, &answer, &taken).await
    }

    /// Runs the query on new entries.
    async fn filter(&self, taken: &Arc<Taken>) -> Result<EntriesAnswer, End> {
        let query = EntryQuery {
            start_ns: i64::MIN,
            end_ns: i64::MAX,
            direction: Direction::Forward,
            limit: usize::MAX,
            interval_ns: 0,
        };
        loop {
            let client = CancelOnDrop::default();
            let budget = Budget::with_cancel(self.app.query_limits(), client.flag());
            let budget = budget.with_account(Arc::clone(&self.app.query_memory));
            let deadline = budget.deadline();
            let (taken, expr) = (Arc::clone(taken), Arc::clone(&self.expr));
            let job = move |_: &mut crate::workers::Scratch| {
                LogEngine.entries(&Held(&taken.runs), &expr, query, &budget)
            };
            match self.app.queries.run(self.tenant.as_str(), deadline, job).await {
                Ok(answer) => return answer.map_err(|error| End::Failed(error.to_string())),
                Err(PoolError::Full { .. } | PoolError::Turn(_)) => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(PoolError::Closed) => return Err(End::Stopping),
                Err(error) => return Err(End::Failed(error.to_string())),
            }
        }
    }

    async fn send(
        &self,
        socket: &mut WebSocket,
        answer: &EntriesAnswer,
        taken: &Taken,
    ) -> Result<(), End> {
        if answer.entries.is_empty() && taken.dropped.is_empty() {
            return Ok(());
        }
        let frame = answer::tail(answer, &taken.dropped, self.categories);
        push(socket, Message::Text(frame.into())).await
    }
}

async fn push(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match tokio::time::timeout(SEND_MAX, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

/// What tells an entry from others.
fn hash(entry: &LogEntry) -> u128 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        entry.timestamp_ns.hash(&mut hasher);
        entry.line.hash(&mut hasher);
        entry.merged().to_string().hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
