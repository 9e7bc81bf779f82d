//! Queries that look light: answered the same whether they are or not.

use crate::support::{TestServer, encode, request, series};

#[tokio::test]
async fn what_only_looks_light_is_answered_by_a_worker() {
    let server = TestServer::start().await;
    let now = server.app.clock.now().0;
    let places: Vec<String> = (0..40).map(|i| i.to_string()).collect();
    let labels = |place| [("__name__", "m"), ("job", "x"), ("place", place)];
    let all = places.iter().map(|place| series(&labels(&**place), &[(now, 1.0)]));
    server.write(&request(all.collect())).await;
    let ask = async |query: &str| {
        let path = format!("/api/v1/query?query={}&time={}", encode(query), now / 1000 + 1);
        server.get(&path).await.json()["data"]["result"].clone()
    };
    let given_up = || server.app.at_once.counts().1.get();
    for _ in 0..3 {
        let one = ask("m{job=\"x\",place=\"7\"}").await;
        assert_eq!(one.as_array().map(Vec::len), Some(1), "{one}");
    }
    let before = given_up();
    for _ in 0..3 {
        let sum = ask("sum(m{job=\"x\"})").await;
        assert_eq!(sum[0]["value"][1], "40");
    }
    // Where there is a core to spare it was tried, and not each time, unless that took a second.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tried = given_up() - before;
    assert!(if cores > 1 { (1..4).contains(&tried) } else { tried == 0 }, "{tried} times");
    server.stop().await;
}

#[tokio::test]
async fn many_samples_of_few_series_are_left_to_a_worker() {
    let server = TestServer::start().await;
    let now = server.app.clock.now().0;
    let samples: Vec<(i64, f64)> = (0..20_000).map(|i| (now - 20_000 + i, i as f64)).collect();
    server.write(&request(vec![series(&[("__name__", "m"), ("job", "x")], &samples)])).await;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (answered, given_up) = server.app.at_once.counts();
    let ask = async |query: &str| {
        let path = format!("/api/v1/query?query={}&time={}", encode(query), now / 1000 + 1);
        server.get(&path).await.json()["data"]["result"][0]["value"][1].clone()
    };
    assert_eq!(ask("count_over_time(m{job=\"x\"}[5m])").await, "20000");
    assert_eq!(answered.get(), 0);
    assert_eq!(given_up.get(), u64::from(cores > 1), "it was tried where a core is to spare");
    // What looks far back is not tried at all.
    assert_eq!(ask("count_over_time(m{job=\"x\"}[5m] offset -1m)").await, "20000");
    ask("m{job=\"x\"} offset 7h").await;
    assert_eq!(answered.get(), 0);
    assert!(given_up.get() <= 2 * u64::from(cores > 1));
    server.stop().await;
}
