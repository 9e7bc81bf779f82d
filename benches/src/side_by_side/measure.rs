//! One run of one server: send, let it settle, count, ask, end, look at the disk.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::{Figure, Figures};
use super::load::{Beside, Load};
use super::peer::Peer;
use super::questions::Question;
use crate::client::Client;
use crate::query::{self, Answered};
use crate::recorded::LaneReader;
use crate::report::quantile;
use crate::send::{Sent, Way, replay, replay_one, send_all};
use crate::server::{Server, directory_bytes};
use crate::{Result, fail};

/// A server has settled when it used less than this share of a core …
const IDLE_SHARE: f64 = 0.05;
/// … for so many looks in a row …
const IDLE_LOOKS: usize = 4;
/// … this far apart, …
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// … or when it was given this long.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(60);

/// What one run gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was measured.
    pub figures: Figures,
    /// Answers to the questions of the load, in their order.
    pub answers: Vec<Vec<Answered>>,
    /// What the server said to a body that it refused.
    pub refusal: Option<String>,
}

/// Runs one server on a directory of its own, which is gone afterwards.
///
/// # Errors
/// If the server fails or does not answer.
pub fn run(peer: &Peer, load: &Load) -> Result<Run> {
    let dir = tempfile::tempdir()?;
    let data_dir = dir.path().join("data");
    let server = peer.start(&data_dir)?;
    let mut figures = Figures::default();
    let cpu_start = server.cpu_seconds()?;
    let way = load.protocol.way(peer.kind);
    let (server, sent) = match load.beside {
        Beside::Nothing => {
            let sent = replay(way, server.address(), &load.lanes)?;
            (server, sent)
        }
        Beside::Queries(connections) => {
            let sent = storm(&server, way, load, connections, &mut figures)?;
            (server, sent)
        }
        Beside::Kill => killed(peer, &data_dir, server, load, &mut figures)?,
    };
    // After a kill the count of the process begins anew; queries beside are part of it.
    let is_whole = load.beside == Beside::Nothing;
    let cpu_sent = server.cpu_seconds()? - cpu_start;
    figures.sent(&sent, load);
    settle(&server)?;
    let cpu_settled = server.cpu_seconds()? - cpu_start;
    let memory = server.memory()?;
    figures.memory(memory, load);
    let missing = load.stored_count as f64 - stored(&server, &load.counts)?;
    figures.set(Figure::Missing, missing);
    let (mut answers, mut above_target) = (Vec::new(), 0_u32);
    let mut client = Client::connect(server.address())?;
    for question in &load.questions {
        let (answered, times) = question.measure(&mut client)?;
        above_target += u32::from(question.target_ms.is_some_and(|target| times.p50 > target));
        figures.query(&question.name, times);
        answers.push(answered);
    }
    if load.questions.iter().any(|question| question.target_ms.is_some()) {
        figures.set(Figure::AboveTarget, f64::from(above_target));
    }
    let cpu_before_stop = server.cpu_seconds()?;
    let cpu_total = server.stop()?;
    if is_whole {
        // Queries are not part of the cost of a sample, settling is.
        figures.cpu(cpu_sent, cpu_settled + (cpu_total - cpu_before_stop), &sent);
    }
    figures.disk(directory_bytes(&data_dir)?, &sent);
    Ok(Run { figures, answers, refusal: sent.refusal })
}

/// Waits until the server does nothing any more.
fn settle(server: &Server) -> Result<()> {
    let begin = Instant::now();
    let (mut idle_looks, mut before) = (0, server.cpu_seconds()?);
    while idle_looks < IDLE_LOOKS && begin.elapsed() < SETTLE_TIME_MAX {
        thread::sleep(LOOK_EVERY);
        let now = server.cpu_seconds()?;
        let is_idle = now - before < IDLE_SHARE * LOOK_EVERY.as_secs_f64();
        idle_looks = if is_idle { idle_looks + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

/// The sum of the values of all answers.
fn stored(server: &Server, counts: &[Question]) -> Result<f64> {
    let mut client = Client::connect(server.address())?;
    let mut sum = 0.0;
    for count in counts {
        let answered = query::read(&count.expression, &count.ask(&mut client)?)?;
        sum += answered.iter().flat_map(|one| &one.samples).map(|(_, value)| value).sum::<f64>();
    }
    Ok(sum)
}

/// Sends while `connections` ask all questions in turn.
fn storm(
    server: &Server,
    way: Way,
    load: &Load,
    connections: usize,
    figures: &mut Figures,
) -> Result<Sent> {
    let (address, is_over) = (server.address(), AtomicBool::new(false));
    let ask = |first: usize| -> Result<Vec<f64>> {
        let (mut client, mut times) = (Client::connect(address)?, Vec::new());
        for question in load.questions.iter().cycle().skip(first) {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let start = Instant::now();
            question.ask(&mut client)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    };
    let ask = &ask;
    thread::scope(|scope| {
        let asking: Vec<_> = (0..connections).map(|n| scope.spawn(move || ask(n))).collect();
        let watching = scope.spawn(|| watch(server, &is_over));
        let sent = replay(way, address, &load.lanes);
        is_over.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for handle in asking {
            match handle.join() {
                Ok(of_one) => times.extend(of_one?),
                Err(_) => return fail("an asking thread failed"),
            }
        }
        times.sort_by(f64::total_cmp);
        let sent = sent?;
        figures.storm(&times, sent.elapsed);
        match watching.join() {
            Ok(memory) => figures.growth(&memory?),
            Err(_) => return fail("the watching thread failed"),
        }
        Ok(sent)
    })
}

/// Resident memory again and again until all is sent.
fn watch(server: &Server, is_over: &AtomicBool) -> Result<Vec<u64>> {
    let mut seen = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        seen.push(server.memory()?.now);
        thread::sleep(LOOK_EVERY / 2);
    }
    Ok(seen)
}

/// Sends; kills the server when half of all bodies have been answered; starts it again and sends
/// what was not answered.
fn killed(
    peer: &Peer,
    data_dir: &std::path::Path,
    server: Server,
    load: &Load,
    figures: &mut Figures,
) -> Result<(Server, Sent)> {
    let (answered, address) = (AtomicUsize::new(0), Mutex::new(server.address()));
    let server = Mutex::new(Some(server));
    let half = load.sample_count / 2;
    let way = load.protocol.way(peer.kind);
    let ready_s = Mutex::new(None);
    let restart = || -> Result<()> {
        let mut slot = lock(&server);
        if answered.load(Ordering::Relaxed) < half || lock(&ready_s).is_some() {
            return Ok(());
        }
        if let Some(old) = slot.take() {
            old.kill()?;
        }
        let start = Instant::now();
        let new = peer.start(data_dir)?;
        *lock(&ready_s) = Some(start.elapsed().as_secs_f64());
        *lock(&address) = new.address();
        *slot = Some(new);
        Ok(())
    };
    let sent = send_all(&load.lanes, |path| {
        let (mut reader, mut bytes, mut sent) =
            (LaneReader::open(path)?, Vec::new(), Sent::default());
        let mut client = Client::connect(*lock(&address))?;
        while let Some(samples) = reader.next(&mut bytes)? {
            while let Err(error) = replay_one(&mut client, way, &bytes, samples, &mut sent) {
                // The lock is held while the server is away, so whoever comes here waits for it.
                let is_up = lock(&server).is_some();
                if !is_up || lock(&ready_s).is_none() {
                    return Err(error);
                }
                client = Client::connect(*lock(&address))?;
            }
            answered.fetch_add(samples, Ordering::Relaxed);
            restart()?;
        }
        Ok(sent)
    })?;
    let server = server.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (Some(server), Some(ready_s)) = (server, *lock(&ready_s)) else {
        return fail("the server was not killed");
    };
    figures.set(Figure::Ready, ready_s);
    Ok((server, sent))
}

/// A thread that panicked leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Figures {
    fn sent(&mut self, sent: &Sent, load: &Load) {
        self.set(Figure::Rate, sent.sample_count as f64 / sent.elapsed.as_secs_f64());
        let latency = |share| quantile(&sent.latencies_ms, share);
        self.set(Figure::WriteP50, latency(0.5));
        self.set(Figure::WriteP99, latency(0.99));
        self.set(Figure::WriteMax, latency(1.0));
        self.set(Figure::Retries, sent.retry_count as f64);
        self.set(Figure::Refused, sent.refused_count as f64);
        self.set(Figure::BodyBytes, load.body_bytes as f64 / load.sample_count as f64);
    }

    /// For a sample that was taken: what was refused is no work done.
    fn cpu(&mut self, sent_s: f64, settled_s: f64, sent: &Sent) {
        let taken = sent.sample_count.max(1) as f64;
        self.set(Figure::Cpu, sent_s * 1e6 / taken);
        self.set(Figure::CpuSettled, settled_s * 1e6 / taken);
    }

    fn memory(&mut self, memory: crate::server::Memory, load: &Load) {
        self.set(Figure::MemoryPeak, memory.peak as f64 / 1e6);
        self.set(Figure::MemorySettled, memory.now as f64 / 1e6);
        self.set(Figure::MemoryPerSeries, memory.now as f64 / load.series_count as f64);
    }

    fn disk(&mut self, bytes: u64, sent: &Sent) {
        self.set(Figure::Disk, bytes as f64 / sent.sample_count.max(1) as f64);
    }

    /// The most memory of each quarter of the time: what grows without bound shows.
    fn growth(&mut self, memory: &[u64]) {
        for (quarter, of_quarter) in (1..).zip(memory.chunks(memory.len().div_ceil(4).max(1))) {
            let most = of_quarter.iter().max().copied().unwrap_or(0);
            self.set(Figure::MemoryOfQuarter(quarter), most as f64 / 1e6);
        }
    }

    fn storm(&mut self, times_ms: &[f64], elapsed: Duration) {
        self.set(Figure::StormRate, times_ms.len() as f64 / elapsed.as_secs_f64());
        self.set(Figure::StormP50, quantile(times_ms, 0.5));
        self.set(Figure::StormP99, quantile(times_ms, 0.99));
    }
}
