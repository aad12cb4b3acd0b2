//! What the reply of PUBLISH promises: so many have it, or will.
//!
//! Subscribers and publishers are on different workers, and the shards hear of both over different connections; so the
//! promise is one of the gateway's own. Real shards, many rounds; `pubsub` has all else about channels.

use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

/// The words of a message or of a confirmation.
fn parts(value: &Value) -> Vec<String> {
    let Value::Array(items) = value else { panic!("no message: {value:?}") };
    items
        .iter()
        .map(|item| if let Value::Bulk(_) = item { item.text() } else { String::new() })
        .collect()
}

/// A program may publish until somebody hears it, and then wait for what was heard.
#[test]
fn a_publish_that_says_one_has_a_receiver() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut publisher = gateway.client();
    for round in 0..60 {
        let channel = format!("round:{round}");
        let mut subscriber = gateway.client();
        subscriber.send(&["SUBSCRIBE", &channel]);
        eventually_true("somebody hears", || {
            publisher.command(&["PUBLISH", &channel, "m"]) == Value::Integer(1)
        });
        let confirmed = subscriber.reply();
        assert_eq!(parts(&confirmed)[0], "subscribe", "it comes first");
        assert_eq!(parts(&subscriber.reply()), ["message", &channel, "m"]);
    }
}
