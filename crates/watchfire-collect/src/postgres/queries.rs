//! What a PostgreSQL is asked, and which metric each column becomes. A table and nothing else; names are those of postgres_exporter.

use watchfire_model::batch::MetricType;

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// A label.
    Label,
    /// A metric of a type.
    Value(MetricType),
}
use Column::{Label, Value};
use MetricType::{Counter, Gauge, Unknown};

/// One question. Every column comes as text or as `double precision`.
pub(super) struct Query {
    /// What stands before the columns in names.
    pub(super) prefix: &'static str,
    /// From which version on, and up to which (exclusive): 90600 is 9.6.
    pub(super) versions: (u32, u32),
    pub(super) sql: &'static str,
    /// Columns in their order.
    pub(super) columns: &'static [(&'static str, Column)],
}

impl Query {
    /// Whether the original has a collector for it, which runs whatever else is left out.
    pub(super) fn is_a_collectors(&self) -> bool {
        let of_collectors =
            ["pg_database", "pg_stat_bgwriter", "pg_stat_checkpointer", "pg_replication", "pg_stat_user_tables", "pg_statio_user_tables", "pg_roles"];
        of_collectors.contains(&self.prefix)
    }
}

const EVER: (u32, u32) = (0, u32::MAX);

pub(super) const QUERIES: &[Query] = &[
    Query {
        prefix: "pg_stat_database",
        versions: EVER,
        sql: "SELECT datid::text, coalesce(datname, '')::text, numbackends::float8, xact_commit::float8, xact_rollback::float8, blks_read::float8, \
              blks_hit::float8, tup_returned::float8, tup_fetched::float8, tup_inserted::float8, tup_updated::float8, tup_deleted::float8, \
              conflicts::float8, temp_files::float8, temp_bytes::float8, deadlocks::float8, blk_read_time::float8, blk_write_time::float8, \
              extract(epoch from stats_reset)::float8 FROM pg_stat_database",
        columns: &[
            ("datid", Label),
            ("datname", Label),
            ("numbackends", Value(Gauge)),
            ("xact_commit", Value(Counter)),
            ("xact_rollback", Value(Counter)),
            ("blks_read", Value(Counter)),
            ("blks_hit", Value(Counter)),
            ("tup_returned", Value(Counter)),
            ("tup_fetched", Value(Counter)),
            ("tup_inserted", Value(Counter)),
            ("tup_updated", Value(Counter)),
            ("tup_deleted", Value(Counter)),
            ("conflicts", Value(Counter)),
            ("temp_files", Value(Counter)),
            ("temp_bytes", Value(Counter)),
            ("deadlocks", Value(Counter)),
            ("blk_read_time", Value(Counter)),
            ("blk_write_time", Value(Counter)),
            ("stats_reset", Value(Counter)),
        ],
    },
    Query {
        prefix: "pg_stat_database",
        versions: (140_000, u32::MAX),
        sql: "SELECT datid::text, coalesce(datname, '')::text, checksum_failures::float8, extract(epoch from checksum_last_failure)::float8, \
              active_time::float8, idle_in_transaction_time::float8, session_time::float8, sessions::float8, sessions_abandoned::float8, \
              sessions_fatal::float8, sessions_killed::float8 FROM pg_stat_database",
        columns: &[
            ("datid", Label),
            ("datname", Label),
            ("checksum_failures", Value(Unknown)),
            ("checksum_last_failure", Value(Unknown)),
            ("active_time", Value(Unknown)),
            ("idle_in_transaction_time", Value(Unknown)),
            ("session_time", Value(Unknown)),
            ("sessions", Value(Unknown)),
            ("sessions_abandoned", Value(Unknown)),
            ("sessions_fatal", Value(Unknown)),
            ("sessions_killed", Value(Unknown)),
        ],
    },
    Query {
        prefix: "pg_stat_database_conflicts",
        versions: EVER,
        sql: "SELECT datid::text, datname::text, confl_tablespace::float8, confl_lock::float8, confl_snapshot::float8, confl_bufferpin::float8, \
              confl_deadlock::float8 FROM pg_stat_database_conflicts",
        columns: &[
            ("datid", Label),
            ("datname", Label),
            ("confl_tablespace", Value(Counter)),
            ("confl_lock", Value(Counter)),
            ("confl_snapshot", Value(Counter)),
            ("confl_bufferpin", Value(Counter)),
            ("confl_deadlock", Value(Counter)),
        ],
    },
    Query {
        prefix: "pg_database",
        versions: EVER,
        sql: "SELECT datname::text, pg_database_size(oid)::float8 FROM pg_database WHERE has_database_privilege(oid, 'CONNECT') OR datname = 'template0'",
        columns: &[("datname", Label), ("size_bytes", Value(Gauge))],
    },
    Query {
        prefix: "pg_locks",
        versions: EVER,
        sql: "SELECT d.datname::text, m.mode, coalesce(l.count, 0)::float8 FROM (VALUES ('accesssharelock'), ('rowsharelock'), ('rowexclusivelock'), \
              ('shareupdateexclusivelock'), ('sharelock'), ('sharerowexclusivelock'), ('exclusivelock'), ('accessexclusivelock'), ('sireadlock')) AS m(mode) \
              CROSS JOIN pg_database d LEFT JOIN (SELECT database, lower(mode) AS mode, count(*) AS count FROM pg_locks WHERE database IS NOT NULL \
              GROUP BY database, lower(mode)) l ON l.mode = m.mode AND l.database = d.oid",
        columns: &[("datname", Label), ("mode", Label), ("count", Value(Gauge))],
    },
    Query {
        prefix: "pg_stat_activity",
        versions: (90_200, u32::MAX),
        sql: "SELECT d.datname::text, s.state, coalesce(a.count, 0)::float8, coalesce(a.longest, 0)::float8 FROM (VALUES ('active'), ('idle'), \
              ('idle in transaction'), ('idle in transaction (aborted)'), ('fastpath function call'), ('disabled')) AS s(state) CROSS JOIN pg_database d \
              LEFT JOIN (SELECT datname, state, count(*) AS count, max(extract(epoch from now() - xact_start)) AS longest FROM pg_stat_activity \
              GROUP BY datname, state) a ON a.state = s.state AND a.datname = d.datname",
        columns: &[("datname", Label), ("state", Label), ("count", Value(Gauge)), ("max_tx_duration", Value(Gauge))],
    },
    Query {
        prefix: "pg_stat_archiver",
        versions: (90_400, u32::MAX),
        sql: "SELECT archived_count::float8, failed_count::float8, extract(epoch from now() - last_archived_time)::float8 FROM pg_stat_archiver",
        columns: &[("archived_count", Value(Counter)), ("failed_count", Value(Counter)), ("last_archive_age", Value(Gauge))],
    },
    Query {
        prefix: "pg_stat_bgwriter",
        versions: (0, 170_000),
        sql: "SELECT checkpoints_timed::float8, checkpoints_req::float8, checkpoint_write_time::float8, checkpoint_sync_time::float8, \
              buffers_checkpoint::float8, buffers_clean::float8, maxwritten_clean::float8, buffers_backend::float8, buffers_backend_fsync::float8, \
              buffers_alloc::float8, extract(epoch from stats_reset)::float8 FROM pg_stat_bgwriter",
        columns: &[
            ("checkpoints_timed_total", Value(Counter)),
            ("checkpoints_req_total", Value(Counter)),
            ("checkpoint_write_time_total", Value(Counter)),
            ("checkpoint_sync_time_total", Value(Counter)),
            ("buffers_checkpoint_total", Value(Counter)),
            ("buffers_clean_total", Value(Counter)),
            ("maxwritten_clean_total", Value(Counter)),
            ("buffers_backend_total", Value(Counter)),
            ("buffers_backend_fsync_total", Value(Counter)),
            ("buffers_alloc_total", Value(Counter)),
            ("stats_reset_total", Value(Counter)),
        ],
    },
    Query {
        prefix: "pg_stat_bgwriter",
        versions: (170_000, u32::MAX),
        sql: "SELECT buffers_clean::float8, maxwritten_clean::float8, buffers_alloc::float8, extract(epoch from stats_reset)::float8 FROM pg_stat_bgwriter",
        columns: &[
            ("buffers_clean_total", Value(Counter)),
            ("maxwritten_clean_total", Value(Counter)),
            ("buffers_alloc_total", Value(Counter)),
            ("stats_reset_total", Value(Counter)),
        ],
    },
    Query {
        prefix: "pg_replication",
        versions: (100_000, u32::MAX),
        sql: "SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
              ELSE greatest(0, extract(epoch from now() - pg_last_xact_replay_timestamp())) END::float8, pg_is_in_recovery()::int::float8",
        columns: &[("lag_seconds", Value(Gauge)), ("is_replica", Value(Gauge))],
    },
    Query {
        prefix: "pg_stat_replication",
        versions: (100_000, u32::MAX),
        sql: "SELECT coalesce(application_name, ''), coalesce(client_addr::text, ''), coalesce(state, ''), coalesce(slot_name, '')::text, \
              pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, replay_lsn)::float8 \
              FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid",
        columns: &[("application_name", Label), ("client_addr", Label), ("state", Label), ("slot_name", Label), ("pg_wal_lsn_diff", Value(Gauge))],
    },
    Query {
        prefix: "pg_replication_slots",
        versions: (100_000, u32::MAX),
        sql: "SELECT slot_name::text, coalesce(database, '')::text, active::int::float8, \
              pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)::float8 \
              FROM pg_replication_slots",
        columns: &[("slot_name", Label), ("database", Label), ("active", Value(Gauge)), ("pg_wal_lsn_diff", Value(Gauge))],
    },
    // What version 17 took out of the background writer's.
    Query {
        prefix: "pg_stat_checkpointer",
        versions: (170_000, u32::MAX),
        sql: "SELECT num_timed::float8, num_requested::float8, restartpoints_timed::float8, restartpoints_req::float8, restartpoints_done::float8, \
              write_time::float8, sync_time::float8, buffers_written::float8, extract(epoch from stats_reset)::float8 FROM pg_stat_checkpointer",
        columns: &[
            ("num_timed_total", Value(Counter)),
            ("num_requested_total", Value(Counter)),
            ("restartpoints_timed_total", Value(Counter)),
            ("restartpoints_req_total", Value(Counter)),
            ("restartpoints_done_total", Value(Counter)),
            ("write_time_total", Value(Counter)),
            ("sync_time_total", Value(Counter)),
            ("buffers_written_total", Value(Counter)),
            ("stats_reset_total", Value(Counter)),
        ],
    },
    // Tables of the database that the address names, those with the most rows first.
    Query {
        prefix: "pg_stat_user_tables",
        versions: (90_400, u32::MAX),
        sql: "SELECT current_database()::text, schemaname::text, relname::text, coalesce(seq_scan, 0)::float8, coalesce(seq_tup_read, 0)::float8, \
              coalesce(idx_scan, 0)::float8, coalesce(idx_tup_fetch, 0)::float8, coalesce(n_tup_ins, 0)::float8, coalesce(n_tup_upd, 0)::float8, \
              coalesce(n_tup_del, 0)::float8, coalesce(n_tup_hot_upd, 0)::float8, coalesce(n_live_tup, 0)::float8, coalesce(n_dead_tup, 0)::float8, \
              coalesce(n_mod_since_analyze, 0)::float8, coalesce(extract(epoch from last_vacuum), 0)::float8, coalesce(extract(epoch from \
              last_autovacuum), 0)::float8, coalesce(extract(epoch from last_analyze), 0)::float8, coalesce(extract(epoch from last_autoanalyze), \
              0)::float8, coalesce(vacuum_count, 0)::float8, coalesce(autovacuum_count, 0)::float8, coalesce(analyze_count, 0)::float8, \
              coalesce(autoanalyze_count, 0)::float8 FROM pg_stat_user_tables ORDER BY coalesce(n_live_tup, 0) + coalesce(n_dead_tup, 0) DESC, relid \
              LIMIT 500",
        columns: &[
            ("datname", Label),
            ("schemaname", Label),
            ("relname", Label),
            ("seq_scan", Value(Counter)),
            ("seq_tup_read", Value(Counter)),
            ("idx_scan", Value(Counter)),
            ("idx_tup_fetch", Value(Counter)),
            ("n_tup_ins", Value(Counter)),
            ("n_tup_upd", Value(Counter)),
            ("n_tup_del", Value(Counter)),
            ("n_tup_hot_upd", Value(Counter)),
            ("n_live_tup", Value(Gauge)),
            ("n_dead_tup", Value(Gauge)),
            ("n_mod_since_analyze", Value(Gauge)),
            ("last_vacuum", Value(Gauge)),
            ("last_autovacuum", Value(Gauge)),
            ("last_analyze", Value(Gauge)),
            ("last_autoanalyze", Value(Gauge)),
            ("vacuum_count", Value(Counter)),
            ("autovacuum_count", Value(Counter)),
            ("analyze_count", Value(Counter)),
            ("autoanalyze_count", Value(Counter)),
        ],
    },
    Query {
        prefix: "pg_statio_user_tables",
        versions: EVER,
        sql: "SELECT current_database()::text, schemaname::text, relname::text, coalesce(heap_blks_read, 0)::float8, coalesce(heap_blks_hit, \
              0)::float8, coalesce(idx_blks_read, 0)::float8, coalesce(idx_blks_hit, 0)::float8, coalesce(toast_blks_read, 0)::float8, \
              coalesce(toast_blks_hit, 0)::float8, coalesce(tidx_blks_read, 0)::float8, coalesce(tidx_blks_hit, 0)::float8 FROM pg_statio_user_tables \
              ORDER BY coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0) DESC, relid LIMIT 500",
        columns: &[
            ("datname", Label),
            ("schemaname", Label),
            ("relname", Label),
            ("heap_blocks_read", Value(Counter)),
            ("heap_blocks_hit", Value(Counter)),
            ("idx_blocks_read", Value(Counter)),
            ("idx_blocks_hit", Value(Counter)),
            ("toast_blocks_read", Value(Counter)),
            ("toast_blocks_hit", Value(Counter)),
            ("tidx_blocks_read", Value(Counter)),
            ("tidx_blocks_hit", Value(Counter)),
        ],
    },
    Query {
        prefix: "pg_database",
        versions: EVER,
        sql: "SELECT datname::text, datconnlimit::float8 FROM pg_database WHERE datallowconn",
        columns: &[("datname", Label), ("connection_limit", Value(Gauge))],
    },
    Query {
        prefix: "pg_roles",
        versions: EVER,
        sql: "SELECT rolname::text, rolconnlimit::float8 FROM pg_roles",
        columns: &[("rolname", Label), ("connection_limit", Value(Gauge))],
    },
];

/// All settings that are numbers or truth values.
pub(super) const SETTINGS: &str = "SELECT name, setting, coalesce(unit, ''), short_desc, vartype FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real')";

/// The other databases of a server.
pub(super) const DATABASES: &str =
    "SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> current_database() ORDER BY 1";
