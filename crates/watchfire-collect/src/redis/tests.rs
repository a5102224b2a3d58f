//! What a Redis says → metrics, without a Redis. A real one is asked in `tests/redis_exporter.rs`.

use proptest::prelude::*;
use watchfire_ingest::exposition::{Format, render};

use super::info::{Info, Sheet};
use super::keys;

fn metrics(text: &str, databases: usize) -> String {
    let mut sheet = Sheet::default();
    Info::read(text).metrics(databases, 1_000.0, &mut sheet);
    render(Format::PrometheusText, &sheet.into_families())
}

fn lines(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(text.lines().any(|known| known == *line), "{line} in {text}");
    }
}

const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nuptime_in_seconds:100\r\n\r\n# Clients\r\nconnected_clients:3\r\nblocked_clients:1\r\n\
    # Memory\r\nused_memory:1048576\r\nmaxmemory:4194304\r\n# Stats\r\ntotal_commands_processed:900\r\nkeyspace_hits:75\r\nkeyspace_misses:25\r\n\
    expired_keys:7\r\nevicted_keys:2\r\nlatest_fork_usec:1500\r\nrdb_last_bgsave_status:ok\r\naof_last_write_status:err\r\n\
    # Replication\r\nrole:master\r\nconnected_slaves:1\r\nslave0:ip=10.0.0.2,port=6379,state=online,offset=42,lag=1\r\n\
    # Commandstats\r\ncmdstat_get:calls=5,usec=10,usec_per_call=2.00,rejected_calls=0,failed_calls=1\r\n\
    # Errorstats\r\nerrorstat_NOAUTH:count=4\r\n# Latencystats\r\nlatency_percentiles_usec_get:p50=1.5,p99=3.25\r\n\
    # Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=2500\r\n";

#[test]
fn rdx_03_metrics_follow_info() {
    let text = metrics(INFO, 0);
    let expected = [
        "redis_connected_clients 3",
        "redis_blocked_clients 1",
        "redis_memory_used_bytes 1.048576e+06",
        "redis_commands_processed_total 900",
        "redis_expired_keys_total 7",
        "redis_evicted_keys_total 2",
        "redis_latest_fork_seconds 0.0015",
        "redis_start_time_seconds 900",
        "redis_rdb_last_bgsave_status 1",
        "redis_aof_last_write_status 0",
    ];
    lines(&text, &expected);
    lines(
        &text,
        &[
            "redis_instance_info{redis_mode=\"standalone\",redis_version=\"7.0.15\",role=\"master\"} 1",
            "redis_commands_total{cmd=\"get\"} 5",
            "redis_commands_duration_seconds_total{cmd=\"get\"} 1e-05",
            "redis_commands_failed_calls_total{cmd=\"get\"} 1",
            "redis_errors_total{err=\"NOAUTH\"} 4",
            "redis_latency_percentiles_usec{cmd=\"get\",quantile=\"99\"} 3.25",
            "redis_latency_percentiles_usec_count{cmd=\"get\"} 5",
        ],
    );
}

#[test]
fn rdx_05_rates_and_shares_can_be_computed() {
    let text = metrics(INFO, 0);
    lines(&text, &["redis_memory_max_bytes 4.194304e+06", "redis_keyspace_hits_total 75", "redis_keyspace_misses_total 25"]);
    for family in ["redis_keyspace_hits_total", "redis_keyspace_misses_total", "redis_commands_processed_total"] {
        lines(&text, &[&format!("# TYPE {family} counter")]);
    }
    lines(&text, &["# TYPE redis_connected_clients gauge", "# TYPE redis_memory_used_bytes gauge"]);
}

#[test]
fn rdx_06_keys_are_per_database_and_replicas_are_shown() {
    let text = metrics(INFO, 2);
    lines(&text, &["redis_db_keys{db=\"db0\"} 3", "redis_db_keys_expiring{db=\"db0\"} 1", "redis_db_avg_ttl_seconds{db=\"db0\"} 2.5"]);
    lines(&text, &["redis_db_keys{db=\"db1\"} 0", "redis_connected_slaves 1"]);
    lines(&text, &["redis_connected_slave_offset_bytes{slave_ip=\"10.0.0.2\",slave_port=\"6379\",slave_state=\"online\"} 42"]);
    let replica = metrics("role:slave\nmaster_host:m\nmaster_port:6379\nmaster_link_status:down\nslave_repl_offset:7\nslave_read_only:1\n", 0);
    lines(&replica, &["redis_master_link_up{master_host=\"m\",master_port=\"6379\"} 0", "redis_slave_repl_offset{master_host=\"m\",master_port=\"6379\"} 7"]);
    lines(&replica, &["redis_slave_info{master_host=\"m\",master_port=\"6379\",read_only=\"1\"} 1"]);
}

#[test]
fn keys_to_measure_name_their_database() {
    assert_eq!(keys::read("db0=queue:*,db2=x, plain"), [keys::read("queue:*"), keys::read("db2=x"), keys::read("db0=plain")].concat());
    assert_eq!(keys::read("2=x"), keys::read("db2=x"));
    assert_eq!(keys::read(&"a,".repeat(500)).len(), keys::CHECKS_MAX);
    assert!(keys::read(" , ").is_empty());
}

#[test]
fn relatives_of_redis_are_read_as_well() {
    // Redis 7.4 has a fourth part, KeyDB one of its own, Dragonfly knows no mean.
    let text = metrics(
        "# Keyspace\ndb0:keys=3,expires=1,avg_ttl=2500,subexpiry=2\ndb1:keys=5,expires=0,avg_ttl=0,cached_keys=4\ndb2:keys=1,expires=0,avg_ttl=-1\ndbx:keys=1\ndb3:nonsense\n",
        0,
    );
    lines(&text, &["redis_db_keys{db=\"db0\"} 3", "redis_db_keys{db=\"db1\"} 5", "redis_db_keys_cached{db=\"db1\"} 4", "redis_db_keys{db=\"db2\"} 1"]);
    assert!(!text.contains("dbx") && !text.contains("db3") && text.matches("redis_db_keys_cached{").count() == 1, "{text}");
    let text = metrics(
        "redis_version:7.2.4\nserver_name:valkey\nvalkey_version:8.0.1\nserver_threads:4\nlong_lock_waits:0\nmaxclients:10000\nused_memory_vm_eval:31744\n\
         evicted_clients:2\nacl_access_denied_auth:1\naof_delayed_fsync:3\nexpired_subkeys:6\nloading:0\nused_memory:12abc\n",
        0,
    );
    lines(&text, &["redis_server_threads_total 4", "redis_max_clients 10000", "redis_memory_used_vm_eval_bytes 31744", "redis_evicted_clients_total 2"]);
    lines(
        &text,
        &["redis_acl_access_denied_auth_total 1", "redis_aof_delayed_fsync 3", "# TYPE redis_expired_subkeys_total counter", "redis_loading_dump_file 0"],
    );
    assert!(!text.contains("redis_memory_used_bytes"), "{text}");
}

proptest! {
    #[test]
    fn any_answer_is_survived(text in "([a-z0-9_|]{0,12}[:,=]?[a-z0-9.=,%-]{0,20}\n){0,20}") {
        metrics(&text, 3);
    }
}
