use sluicegate::config::*;
fn main() {
    let ports: Vec<u16> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let shards = ports[1..].iter().map(|p| ShardConfig::named(&format!("s{p}"), Address::Tcp { host: "127.0.0.1".into(), port: *p })).collect();
    let pool = PoolConfig::with_defaults("main", Listen::Tcp { host: "127.0.0.1".into(), port: ports[0] }, shards);
    let mut c = Config::with_defaults(vec![pool]);
    c.workers = Workers::Count(1);
    let g = sluicegate::server::Gateway::start(c).unwrap();
    println!("{:?}", g.addresses());
    std::thread::park();
}
