//! The language by examples with the answers that Go gives.

use std::sync::Arc;

use watchfire_model::labels::Labels;
use watchfire_model::time::{ManualClock, SharedClock, Timestamp};

use super::*;

fn functions() -> Functions {
    let clock: SharedClock = ManualClock::new(Timestamp(1_700_000_000_000));
    let query: Query = Arc::new(|text| match text {
        "two" => Ok([("a", 1.5), ("b", 2.0)].map(|(job, value)| QuerySample { labels: Labels::from_pairs([("job", job)]), value }).to_vec()),
        "none" => Ok(Vec::new()),
        other => Err(format!("unknown query {other}")),
    });
    rule_functions(query, "http://watchfire.example:8000/prefix/", clock)
}

fn rule(template: &str) -> Result<String, String> {
    let labels = Labels::from_pairs([("instance", "pi.lan:9100"), ("job", "node"), ("severity", "page")]);
    let external = Labels::from_pairs([("cluster", "home")]);
    let rule = Rule {
        alert: "Hot",
        labels: &labels,
        external_labels: &external,
        external_url: "http://watchfire.example:8000/prefix/",
        value: RuleValue::Float(1_234_567.891),
    };
    rule.expand(template, functions()).map_err(|e| e.to_string())
}

#[track_caller]
fn gives(template: &str, expected: &str) {
    assert_eq!(rule(template).as_deref(), Ok(expected), "{template}");
}
#[track_caller]
fn fails(template: &str, expected: &str) {
    let error = rule(template).expect_err(template);
    assert!(error.contains(expected), "{template}: {error}, expected {expected}");
}

#[test]
fn data_of_a_rule() {
    gives("{{ $labels.instance }} of {{ .Labels.job }}: {{ $value }}", "pi.lan:9100 of node: 1.234567891e+06");
    gives("{{ $labels.nothing }}|{{ $externalLabels.cluster }}|{{ $externalURL }}", "|home|http://watchfire.example:8000/prefix/");
    gives("{{ pathPrefix }} {{ externalURL }}", "/prefix http://watchfire.example:8000/prefix/");
    gives("plain } text", "plain } text");
    gives("{{ range $k, $v := $labels }}{{ $k }}={{ $v }},{{ end }}", "instance=pi.lan:9100,job=node,severity=page,");
    gives("{{ $labels }}", "map[instance:pi.lan:9100 job:node severity:page]");
}

#[test]
fn control() {
    gives("{{ if eq .Labels.job \"node\" }}yes{{ else }}no{{ end }}", "yes");
    gives("{{ if false }}a{{ else if true }}b{{ else }}c{{ end }}", "b");
    gives("{{ with $labels.job }}{{ . }}{{ else }}-{{ end }}{{ with $labels.x }}{{ . }}{{ else }}-{{ end }}", "node-");
    gives("{{ range query \"two\" }}{{ .Labels.job }}={{ .Value }} {{ end }}", "a=1.5 b=2 ");
    gives("{{ range query \"none\" }}x{{ else }}nothing{{ end }}", "nothing");
    gives("{{ range $i, $e := query \"two\" }}{{ if $i }}, {{ end }}{{ $e.Labels.job }}{{ end }}", "a, b");
    gives("{{ range query \"two\" }}{{ if eq .Value 1.5 }}{{ continue }}{{ end }}{{ .Value }}{{ break }}{{ end }}", "2");
    gives("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ $y }}{{ end }}{{ $x }}", "32");
    gives("a {{- 1 -}} b {{ 2 }} c", "a1b 2 c");
    gives("{{/* no */}}x{{- /* more */ -}}  y", "xy");
    gives("{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" $labels.job }}", "[node]");
    gives("{{ block \"b\" 5 }}<{{ . }}>{{ end }}", "<5>");
    gives("{{ tmpl \"t\" 7 }}{{ define \"t\" }}({{ . }}){{ end }}", "(7)");
    gives("{{ range $n := 3 }}{{ $n }}{{ end }}", "012");
}

#[test]
fn comparisons_and_logic() {
    gives("{{ and 1 0 }} {{ and 1 2 }} {{ or 0 \"\" \"x\" }} {{ not 0 }}", "0 2 x true");
    gives("{{ or true (index $labels 5) }}", "true");
    gives("{{ eq 1 2 1 }} {{ ne 1 2 }} {{ lt 1.5 2.5 }} {{ gt \"b\" \"a\" }} {{ le 2 2 }} {{ ge 1 2 }}", "true true true true true false");
    fails("{{ eq 1 1.5 }}", "error calling eq: incompatible types for comparison");
    fails("{{ lt true false }}", "error calling lt: invalid type for comparison");
    fails("{{ gt $value 5 }}", "error calling gt: incompatible types for comparison");
    gives("{{ len \"äb\" }} {{ len $labels }} {{ index $labels \"job\" }} {{ slice \"hello\" 1 3 }}", "3 3 node el");
}

#[test]
fn formatting() {
    gives("{{ printf \"%.2f|%5d|%-5s|%05d|%x|%q|%v|%t\" 3.14159 42 \"ab\" 42 255 \"a\\\"b\" 1.5 true }}", "3.14|   42|ab   |00042|ff|\"a\\\"b\"|1.5|true");
    gives("{{ printf \"%d %s\" \"x\" 5 }}", "%!d(string=x) %!s(int=5)");
    gives("{{ printf \"%s %d\" \"only\" }}", "only %!d(MISSING)");
    gives("{{ printf \"none\" 1 2 }}", "none%!(EXTRA int=1, int=2)");
    gives("{{ printf \"%.3g %g %e %+d %8.3f| %%\" 1234.5678 1e21 1500.0 5 2.5 }}", "1.23e+03 1e+21 1.500000e+03 +5    2.500| %");
    gives("{{ print 1 2 \"a\" \"b\" 3 }}{{ println 1 \"x\" }}", "1 2ab31 x\n");
    gives("{{ 1e6 }} {{ 100000.0 }} {{ 0.00001 }} {{ 0x1F }} {{ 'a' }} {{ `raw` }} {{ \"\\u00e9\" }}", "1e+06 100000 1e-05 31 97 raw é");
    gives("{{ html \"<a&\\\">\" }} {{ urlquery \"a b&c\" }} {{ js \"it's\" }}", "&lt;a&amp;&#34;&gt; a+b%26c it\\'s");
}

#[test]
fn functions_of_prometheus() {
    gives("{{ humanize 1234567.0 }} {{ humanize 0.001234 }} {{ humanize 0.0 }} {{ humanize \"12\" }}", "1.235M 1.234m 0 12");
    gives("{{ humanize1024 1048576.0 }} {{ humanize1024 1.0 }} {{ humanize1024 -2048.0 }}", "1Mi 1 -2ki");
    gives("{{ humanizeDuration 0 }} {{ humanizeDuration 61 }} {{ humanizeDuration 3661.5 }} {{ humanizeDuration 90061 }}", "0s 1m 1s 1h 1m 1s 1d 1h 1m 1s");
    gives("{{ humanizeDuration 0.0123 }} {{ humanizeDuration 1.2345678 }} {{ humanizeDuration -5 }}", "12.3ms 1.235s -5s");
    gives("{{ humanizePercentage 0.12345 }} {{ humanizePercentage 1 }}", "12.35% 100%");
    gives("{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC");
    gives("{{ (query \"two\" | first).Value }} {{ query \"two\" | first | label \"job\" }} {{ query \"two\" | first | value | humanize }}", "1.5 a 1.5");
    fails("{{ query \"none\" | first | value }}", "error calling first: first() called on vector with no elements");
    fails("{{ query \"bad\" }}", "error calling query: unknown query bad");
    gives("{{ range query \"two\" | sortByLabel \"job\" }}{{ .Labels.job }}{{ end }}", "ab");
    gives("{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }} {{ match \"n.de\" $labels.job }}", "pi.lan true");
    gives(
        "{{ $labels.instance | stripPort }} {{ stripDomain $labels.instance }} {{ stripDomain \"10.0.0.1:80\" }} {{ stripPort \"[::1]:80\" }}",
        "pi.lan pi:9100 10.0.0.1:80 ::1",
    );
    gives("{{ title \"hello wORLD\" }} {{ toUpper \"a\" }} {{ toLower \"B\" }}", "Hello WORLD A b");
    gives("{{ graphLink \"up == 0\" }} {{ tableLink \"up\" }}", "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=up&g0.tab=1");
    gives("{{ (args 1 \"b\").arg1 }} {{ parseDuration \"1h30m\" }} {{ now }}", "b 5400 1.7e+09");
    gives("{{ (1435065584.128 | toTime).Format \"Jan 2, 2006 at 3:04pm (MST)\" }} {{ toDuration 90 }}", "Jun 23, 2015 at 1:19pm (UTC) 1m30s");
}

#[test]
fn errors_name_their_place() {
    fails("{{ $labels.job", "template: __alert_Hot:1: unclosed action");
    fails("{{ nope 1 }}", "template: __alert_Hot:1: function \"nope\" not defined");
    fails("{{ $nope }}", "template: __alert_Hot:1: undefined variable \"$nope\"");
    fails(
        "x\n{{ .Nope }}",
        "template: __alert_Hot:2:3: executing \"__alert_Hot\" at <.Nope>: can't evaluate field Nope in type struct { Labels map[string]string; ExternalLabels",
    );
    fails("{{ title }}", "wrong number of args for title: want 1 got 0");
    fails("{{ title 5 }}", "expected string; found 5");
    fails("{{ if }}x{{ end }}", "missing value for if");
    fails("{{ end }}", "unexpected {{end}}");
    fails("{{ if true }}", "unexpected EOF");
    fails("{{ break }}", "{{break}} outside {{range}}");
    fails("{{ template \"none\" }}", "template \"none\" not defined");
    fails("{{ 1 | 2 }}", "non executable command in pipeline stage 2");
    fails("{{ (1 }}", "unclosed left paren");
    fails("{{ \"a }}", "unterminated quoted string");
    fails("{{ range $i, $j, $k := . }}{{ end }}", "too many declarations in range");
}

#[test]
fn costs_are_bounded() {
    fails("{{ range 2000000 }}{{ end }}", "too many steps");
    fails("{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}", "too deeply");
    fails("{{ range 900000 }}0123456789{{ end }}", "too");
    fails(&format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000)), "too deeply nested");
    assert!(Templates::new("t", functions()).parse("t", &"x".repeat(TEXT_BYTES_MAX + 1)).is_err());
}

#[test]
fn notifications() {
    let clock: SharedClock = ManualClock::new(Timestamp(1_700_000_000_000));
    let mut templates = Templates::new("n", notification_functions(clock));
    templates.parse("default.tmpl", "{{ define \"subject\" }}[{{ .Status | toUpper }}{{ if eq .Status \"firing\" }}:{{ .Alerts.Firing | len }}{{ end }}] {{ .GroupLabels.SortedPairs.Values | join \" \" }}{{ end }}").unwrap();
    let alert = |status: &str| {
        let labels = Value::texts(MapKind::KeyValues, [("alertname", "Hot"), ("zone", "a<b")]);
        Value::record(
            "template.Alert",
            vec![("Status", Value::text(status)), ("Labels", labels), ("StartsAt", Value::Time(GoTime::from_millis(1_699_999_000_000)))],
        )
    };
    let data = Value::record(
        "*template.Data",
        vec![
            ("Status", Value::text("firing")),
            ("Alerts", Value::list_of(ListKind::Alerts, vec![alert("firing"), alert("resolved"), alert("firing")])),
            ("GroupLabels", Value::texts(MapKind::KeyValues, [("b", "2"), ("alertname", "Hot"), ("a", "1")])),
        ],
    );
    let mut check = |text: &str, form: Form, expected: &str| {
        templates.parse("x", text).unwrap();
        assert_eq!(templates.execute("x", data.clone(), form).as_deref(), Ok(expected), "{text}");
    };
    let plain = Form::Plain;
    check("{{ template \"subject\" . }}", plain, "[FIRING:2] Hot 1 2");
    check("{{ (index .Alerts 0).Labels.zone }}", Form::Html, "a&lt;b");
    check("<a href=\"{{ \"javascript:x\" }}\" title=\"{{ \"a\\\"b\" }}\">", Form::Html, "<a href=\"#ZgotmplZ\" title=\"a&#34;b\">");
    check("<a href=\"{{ \"http://x/?a=b c\" }}\">{{ \"<b>\" | safeHtml }}", Form::Html, "<a href=\"http://x/?a=b%20c\"><b>");
    check("{{ range .GroupLabels.Remove (stringSlice \"a\") }}{{ . }} {{ end }}", plain, "Hot 2 ");
    check("{{ .GroupLabels.Names | join \",\" }}", plain, "alertname,a,b");
    check("{{ (index .Alerts 0).StartsAt.Format \"2006-01-02T15:04:05Z07:00\" }}", plain, "2023-11-14T21:56:40Z");
    check("{{ (index .Alerts 0).StartsAt | tz \"Europe/Paris\" | date \"15:04:05 MST\" }}", plain, "22:56:40 CET");
    check("{{ since (index .Alerts 0).StartsAt | humanizeDuration }}", plain, "16m 40s");
    check("{{ toJson .GroupLabels }} {{ title \"aB cD\" }} {{ trimSpace \" x \" }}", plain, "{\"a\":\"1\",\"alertname\":\"Hot\",\"b\":\"2\"} Ab Cd x");
}
