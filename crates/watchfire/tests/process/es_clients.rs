//! Everyday calls of Elasticsearch's official client for Python, in three generations: long readings by scroll and by point in time,
//! documents by their ids, tables, fields, indices.

use std::process::Command;

use crate::python::{also, python};
use crate::server::Server;

/// What all generations know.
const CALLS: &str = r#"
import sys, datetime, importlib.metadata
from elasticsearch import Elasticsearch, helpers, NotFoundError
version = importlib.metadata.version("elasticsearch")
assert version.split(".")[0] == sys.argv[2], version
es = Elasticsearch([sys.argv[1] + "/elasticsearch"])
old = version.startswith("7.")
def search(**body): return es.search(body=body) if old else es.search(**body)
now = datetime.datetime.now(datetime.timezone.utc)
# Two documents of each moment, and two of each content.
documents = [{"_index": "vms", "_id": "d%d" % i, "@timestamp": (now - datetime.timedelta(milliseconds=i // 2)).isoformat(timespec="milliseconds"),
              "level": "ERROR" if i % 10 == 0 else "INFO", "n": i // 2, "host": {"name": "cam-%d" % (i % 3)}} for i in range(1000)]
assert helpers.bulk(es, documents) == (1000, [])
# The whole index, whatever the order.
for kwargs in [{}, {"preserve_order": True, "query": {"sort": [{"n": "desc"}]}}, {"query": {"query": {"term": {"level": "ERROR"}}}}]:
    found = [h["_id"] for h in helpers.scan(es, index="vms", size=70, scroll="1m", **kwargs)]
    expected = 100 if "term" in str(kwargs) else 1000
    assert len(found) == len(set(found)) == expected, (kwargs, len(found), len(set(found)))
page = es.search(index="vms", scroll="1m", size=400)
assert page["hits"]["total"]["value"] == 1000 and len(page["hits"]["hits"]) == 400
more = es.scroll(scroll_id=page["_scroll_id"], scroll="1m")
assert more["hits"]["total"]["value"] == 1000
assert not {h["_id"] for h in page["hits"]["hits"]} & {h["_id"] for h in more["hits"]["hits"]}
assert es.clear_scroll(scroll_id=page["_scroll_id"])["num_freed"] == 1
try: es.scroll(scroll_id=page["_scroll_id"]); raise SystemExit("a scroll that is over goes on")
except NotFoundError as error: assert error.status_code == 404 if old else error.meta.status == 404
# A point in time with search_after.
pit = es.open_point_in_time(index="vms", keep_alive="1m")["id"]
seen, after = [], None
while True:
    body = {"size": 300, "sort": [{"@timestamp": "desc"}], "pit": {"id": pit, "keep_alive": "1m"}, "track_total_hits": False}
    if after: body["search_after"] = after
    answer = search(**body)
    hits = answer["hits"]["hits"]
    if not hits: break
    assert "total" not in answer["hits"] and answer["pit_id"] == pit
    seen += [h["_id"] for h in hits]; after = hits[-1]["sort"]
assert len(seen) == len(set(seen)) == 1000 and seen[0] in ("d0", "d1"), (len(seen), len(set(seen)))
assert (es.close_point_in_time(body={"id": pit}) if old else es.close_point_in_time(id=pit))["succeeded"]
# A table page by page: each pair of values once, with its newest document.
rows, after = [], None
while True:
    composite = {"size": 4, "sources": [{"level": {"terms": {"field": "level"}}}, {"cam": {"terms": {"field": "host.name.keyword", "order": "desc"}}}]}
    if after: composite["after"] = after
    top = {"top_hits": {"size": 1, "sort": [{"n": "asc"}], "_source": ["n"]}}
    table = search(size=0, aggs={"table": {"composite": composite, "aggs": {"newest": top}}})["aggregations"]["table"]
    if not table["buckets"]: break
    rows += table["buckets"]; after = table["after_key"]
assert [(r["key"]["level"], r["key"]["cam"]) for r in rows] == [(l, "cam-%d" % c) for l in ("ERROR", "INFO") for c in (2, 1, 0)], rows
assert sum(r["doc_count"] for r in rows) == 1000
assert [r["newest"]["hits"]["hits"][0]["_source"]["n"] for r in rows] == [10, 5, 0, 1, 0, 1], rows
# Documents by their ids.
got = es.mget(index="vms", body={"ids": ["d7", "none", "d8"]}) if old else es.mget(index="vms", ids=["d7", "none", "d8"])
assert [d["found"] for d in got["docs"]] == [True, False, True] and got["docs"][0]["_source"]["n"] == 3, got
assert es.exists(index="vms", id="d7") and not es.exists(index="vms", id="none")
# Fields and indices.
caps = es.field_caps(index="vms", fields="*")
assert list(caps["fields"]["n"]) == ["long"] and "keyword" in caps["fields"]["host.name.keyword"] and caps["indices"] == ["vms"], caps
assert "n" in es.indices.get_mapping(index="vms")["vms"]["mappings"]["properties"]
assert dict(es.indices.get_alias(index="vms")) == {"vms": {"aliases": {}}}
assert not es.indices.exists_alias(index="vms", name="other")
assert any(i["index"] == "vms" and i["docs.count"] == "1000" for i in es.cat.indices(format="json"))
assert es.count(index="vms")["count"] == 1000
assert not es.indices.exists(index="fresh")
assert es.indices.create(index="fresh")["acknowledged"] and es.indices.exists(index="fresh")
assert es.search(index="fresh")["hits"]["total"]["value"] == 0
assert es.indices.delete(index="fresh")["acknowledged"] and not es.indices.exists(index="fresh")
query = {"term": {"level": "ERROR"}}
gone = es.delete_by_query(index="vms", body={"query": query}) if old else es.delete_by_query(index="vms", query=query)
assert gone["deleted"] == 100 and es.count(index="vms")["count"] == 900, gone
assert es.indices.delete(index="vms")["acknowledged"] and not es.indices.exists(index="vms")
"#;

fn check(requirement: &str, generation: &str) {
    let (Some(python), Some(library)) = (python(), also(requirement)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let output = Command::new(&python).env("PYTHONPATH", library).args(["-W", "ignore", "-c", CALLS, &server.url(), generation]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures = server.get("/metrics").unwrap().text();
    assert!(figures.contains("watchfire_search_contexts_open 0\n"), "what was closed is gone, and what was read to its end");
}

#[test]
fn everyday_calls_of_the_client_7() {
    check("elasticsearch==7.17.12", "7");
}

#[test]
fn everyday_calls_of_the_client_8() {
    check("elasticsearch==8.19.2", "8");
}

#[test]
fn everyday_calls_of_the_client_9() {
    check("elasticsearch==9.1.3", "9");
}
