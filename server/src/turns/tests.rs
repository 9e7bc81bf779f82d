use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

const LIMITS: TurnLimits = TurnLimits {
    running_max: 2,
    tenant_running_max: 2,
    waiting_max: 100,
    tenant_waiting_max: 100,
    wait_max: Duration::from_secs(3600),
};

type Wait = Pin<Box<dyn Future<Output = Result<Turn, TurnError>>>>;

fn wait(turns: &Arc<Turns>, tenant: &'static str) -> Wait {
    let turns = Arc::clone(turns);
    let deadline = std::time::Instant::now() + Duration::from_secs(7200);
    Box::pin(async move { turns.wait(tenant, deadline).await })
}

/// What `wait` has come to, without waiting.
fn look(wait: &mut Wait) -> Option<Result<Turn, TurnError>> {
    match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

fn turn(wait: &mut Wait) -> Option<Turn> {
    look(wait).map(|result| result.expect("a turn"))
}

#[tokio::test]
async fn the_tenant_with_the_fewest_running_queries_is_next() {
    let turns = Arc::new(Turns::new(LIMITS));
    let first = turn(&mut wait(&turns, "greedy")).expect("free");
    let second = turn(&mut wait(&turns, "greedy")).expect("free");
    let mut greedy: Vec<Wait> = (0..5).map(|_| wait(&turns, "greedy")).collect();
    assert!(greedy.iter_mut().all(|wait| look(wait).is_none()));
    let mut modest = [wait(&turns, "modest"), wait(&turns, "modest")];
    assert!(modest.iter_mut().all(|wait| look(wait).is_none()));
    assert_eq!(turns.waiting(), 7);
    drop(first);
    // Five came before it, but their tenant has a running query already.
    let third = turn(&mut modest[0]).expect("it runs none");
    assert!(greedy.iter_mut().all(|wait| look(wait).is_none()));
    drop(second);
    let fourth = turn(&mut greedy[0]).expect("it runs none now");
    drop(third);
    assert!(look(&mut greedy[1]).is_none(), "it runs one");
    let fifth = turn(&mut modest[1]).expect("it runs none");
    drop((fourth, fifth));
    assert!(turn(&mut greedy[1]).is_some() && turn(&mut greedy[2]).is_some());
}

#[tokio::test]
async fn the_busiest_of_tenants_is_found() {
    let turns = Arc::new(Turns::new(TurnLimits { tenant_running_max: 1, ..LIMITS }));
    let all = ["a", "b", "c"];
    assert_eq!(turns.busiest(&all), Some(&"a"), "the first if none does anything");
    assert_eq!(turns.busiest::<&str>(&[]), None);
    let first = turn(&mut wait(&turns, "b")).expect("free");
    assert_eq!(turns.busiest(&all), Some(&"b"));
    let other = turn(&mut wait(&turns, "c")).expect("free");
    assert_eq!(turns.busiest(&all), Some(&"b"), "the first of two");
    let mut waiting = wait(&turns, "c");
    assert!(look(&mut waiting).is_none());
    assert_eq!(turns.busiest(&all), Some(&"c"), "those that wait count too");
    drop((first, other, waiting));
    assert_eq!(turns.busiest(&all), Some(&"a"));
}

#[tokio::test]
async fn a_tenant_leaves_turns_to_others() {
    let turns = Arc::new(Turns::new(TurnLimits { tenant_running_max: 1, ..LIMITS }));
    let first = turn(&mut wait(&turns, "a")).expect("free");
    let mut second = wait(&turns, "a");
    assert!(look(&mut second).is_none(), "one of a tenant");
    let other = turn(&mut wait(&turns, "b")).expect("one is left to others");
    drop(other);
    assert!(look(&mut second).is_none(), "still one of a tenant");
    drop(first);
    assert!(turn(&mut second).is_some());
}

#[tokio::test]
async fn a_full_line_refuses_and_names_its_limit() {
    let limits = TurnLimits { waiting_max: 2, tenant_waiting_max: 1, ..LIMITS };
    let turns = Arc::new(Turns::new(limits));
    let _running = [turn(&mut wait(&turns, "a")), turn(&mut wait(&turns, "a"))];
    let mut waiting = [wait(&turns, "a"), wait(&turns, "b")];
    let error = |turns, tenant| look(&mut wait(turns, tenant)).expect("no wait").expect_err("full");
    assert!(look(&mut waiting[0]).is_none());
    let text = "too many queries of this tenant wait for their turn; limit is 1 \
                (query.tenant_queue_max)";
    assert_eq!(error(&turns, "a").to_string(), text);
    assert!(look(&mut waiting[1]).is_none());
    let text = "too many queries wait for their turn; limit is 2 (query.queue_max)";
    assert_eq!(error(&turns, "c").to_string(), text);
    let refused = turns.counts().refused().map(|(reason, count)| (reason, count.get()));
    assert_eq!(refused, [("queue", 1), ("tenant_queue", 1), ("timeout", 0), ("wait", 0)]);
}

#[tokio::test]
async fn waiting_has_a_limit_and_counts_in_the_time_of_the_query() {
    let wait_max = Duration::from_millis(30);
    let limits = TurnLimits { running_max: 1, wait_max, ..LIMITS };
    let turns = Arc::new(Turns::new(limits));
    let _running = turn(&mut wait(&turns, "a")).expect("free");
    let error = wait(&turns, "a").await.expect_err("nobody makes room");
    let text = "query waited 30 ms for its turn, which is the limit (query.queue_wait_max); \
                at most 1 run at a time (query.concurrency_max)";
    assert_eq!(error.to_string(), text);
    let soon = std::time::Instant::now() + Duration::from_millis(1);
    let error = turns.wait("a", soon).await.expect_err("nobody makes room");
    assert_eq!(error, TurnError::Timeout);
    assert_eq!(turns.waiting(), 0, "they have left the line");

    let limits = TurnLimits { tenant_running_max: 1, wait_max, ..LIMITS };
    let turns = Arc::new(Turns::new(limits));
    let _running = turn(&mut wait(&turns, "a")).expect("free");
    let error = wait(&turns, "a").await.expect_err("nobody makes room").to_string();
    assert!(error.ends_with("at most 1 run at a time (query.tenant_concurrency_max)"), "{error}");
}

#[tokio::test]
async fn who_leaves_passes_a_turn_on() {
    let turns = Arc::new(Turns::new(TurnLimits { running_max: 1, ..LIMITS }));
    let running = turn(&mut wait(&turns, "a")).expect("free");
    let (mut first, mut second, mut third) =
        (wait(&turns, "a"), wait(&turns, "b"), wait(&turns, "c"));
    assert!([&mut first, &mut second, &mut third].into_iter().all(|wait| look(wait).is_none()));
    drop(second);
    assert_eq!(turns.waiting(), 2, "it left at once");
    drop(running);
    // `first` was given the turn but never looked.
    drop(first);
    assert!(turn(&mut third).is_some());
    assert!(turns.state.lock().tenants.is_empty(), "nobody is remembered");
}

const TENANTS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    Come(usize),
    /// Ends or leaves, whichever of those there are.
    Go(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![(0..3_usize).prop_map(Step::Come), any::<usize>().prop_map(Step::Go)];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// No turn is lost or given twice, whoever comes and goes in whatever state.
    #[test]
    fn turns_are_neither_lost_nor_given_twice(
        steps in steps(), running_max in 1..5_usize, tenant_running_max in 1..5_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let _guard = runtime.enter();
        let limits = TurnLimits { running_max, tenant_running_max, ..LIMITS };
        let turns = Arc::new(Turns::new(limits));
        let tenant_running_max = tenant_running_max.min(running_max);
        let mut all: Vec<(usize, Wait, Option<Turn>)> = Vec::new();
        for step in steps {
            match step {
                Step::Come(tenant) => all.push((tenant, wait(&turns, TENANTS[tenant]), None)),
                Step::Go(_) if all.is_empty() => {}
                Step::Go(at) => drop(all.swap_remove(at % all.len())),
            }
            for (_, wait, held) in &mut all {
                if held.is_none() {
                    *held = turn(wait);
                }
            }
            let running = |tenant: usize| {
                all.iter().filter(|(of, _, held)| *of == tenant && held.is_some()).count()
            };
            let total: usize = (0..3).map(running).sum();
            prop_assert!(total <= running_max);
            prop_assert_eq!(turns.waiting(), all.len() - total);
            for tenant in 0..3 {
                let waits = all.iter().any(|(of, _, held)| *of == tenant && held.is_none());
                prop_assert!(running(tenant) <= tenant_running_max);
                let full = total == running_max || running(tenant) == tenant_running_max;
                prop_assert!(!waits || full, "a turn is free and not given");
            }
        }
        drop(all);
        prop_assert!(turns.state.lock().tenants.is_empty());
        prop_assert!(turns.state.lock().order.is_empty());
    }
}
