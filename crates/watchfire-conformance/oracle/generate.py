#!/usr/bin/env python3
"""Writes crates/watchfire-query/testdata/oracle_*.test: random questions whose answers `semantics.py` computes on its own.

Run it after changing either file; the same seed gives the same scripts. Nothing of it is needed to run the tests."""

import datetime
import math
import os
import random
import re

import semantics as s
from semantics import INF, NAN, STALE, Fail

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "..", "..", "watchfire-query", "testdata")
HEADER = "# Written by crates/watchfire-conformance/oracle/generate.py: answers of a second, plain implementation of the semantics.\n"


def text(value):
    if value is STALE:
        return "stale"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 and not (value == 0 and math.copysign(1, value) < 0) else repr(value)


def plain(value):
    """A value as a label: decimal without an exponent."""
    return text(value)


def series(labels):
    name = labels.get("__name__", "")
    pairs = ", ".join(f'{n}="{v}"' for n, v in sorted(labels.items()) if n != "__name__" and v != "")
    if name and not re.fullmatch("[a-zA-Z_:][a-zA-Z0-9_:]*", name):
        return "{" + ", ".join([f'"{name}"'] + ([pairs] if pairs else [])) + "}"
    return f"{name}{{{pairs}}}" if pairs else name or "{}"


class Script:
    def __init__(self, family, seed):
        self.random = random.Random(seed)
        self.family = family
        self.lines = [HEADER]
        self.data = []
        self.cases = 0
        self.asked = set()

    def load(self, data, step):
        self.data = data
        self.lines.append(f"clear\nload {step}ms")
        for labels, samples in data:
            known = dict(samples)
            last = max(known) // step
            self.lines.append(f"  {series(labels)} " + " ".join(text(known[i * step]) if i * step in known else "_" for i in range(last + 1)))
        self.lines.append("")

    def ask(self, query, at, answer):
        """`answer` computes a finished vector or a number at a time; `at` is a time in ms, or (start, end, step)."""
        if (query, at) in self.asked:
            return
        self.asked.add((query, at))
        times = [at] if isinstance(at, int) else list(range(at[0], at[1] + 1, at[2]))
        try:
            steps = [answer(t) for t in times]
        except Fail as fail:
            rows = ["expect fail"] if self.family == "compositions" else [f"expect fail {fail}".rstrip()]
        else:
            if isinstance(at, int) and isinstance(steps[0], float):
                rows = [text(steps[0])]
            else:
                table = {}
                for i, step in enumerate(steps):
                    for labels, value in [({}, step)] if isinstance(step, float) else step:
                        table.setdefault(series(labels), ["_"] * len(times))[i] = text(value)
                rows = [f"{labels} {' '.join(values)}" for labels, values in sorted(table.items())]
        head = f"instant at {at}ms" if isinstance(at, int) else f"range from {at[0]}ms to {at[1]}ms step {at[2]}ms"
        self.lines.append("\n  ".join([f"eval {head} {query}"] + rows) + "\n")
        self.cases += 1

    def pick(self, *items):
        return self.random.choice(items)

    def write(self):
        with open(os.path.join(TARGET, f"oracle_{self.family}.test"), "w", encoding="utf-8") as file:
            file.write("\n".join(self.lines).rstrip("\n") + "\n")
        print(f"oracle_{self.family}: {self.cases} cases")


ODD = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 7.25, -11.0, 100.0, 1e10, 1e300, -1e300, 5e-324, NAN, INF, -INF]


def literal(value):
    return text(value).replace("+Inf", "Inf") if value == value else "NaN"


def operators():
    script = Script("operators", 1)
    for op, compute in s.ARITHMETIC.items():
        pairs = [(a, b) for a in ODD for b in ODD]
        for a, b in script.random.sample(pairs, 26):
            script.ask(f"({literal(a)}) {op} ({literal(b)})", 0, lambda _: compute(a, b))
        for a, b in script.random.sample(pairs, 8):
            script.ask(f"vector({literal(a)}) {op} ({literal(b)})", 0, lambda _: [({}, compute(a, b))])
            script.ask(f"({literal(a)}) {op} vector({literal(b)})", 0, lambda _: [({}, compute(a, b))])
    for op, compute in s.COMPARISONS.items():
        pairs = [(a, b) for a in ODD for b in ODD]
        for a, b in script.random.sample(pairs, 14):
            script.ask(f"({literal(a)}) {op} bool ({literal(b)})", 0, lambda _: float(compute(a, b)))
            script.ask(f"vector({literal(a)}) {op} ({literal(b)})", 0, lambda _: [({}, a)] if compute(a, b) else [])
            script.ask(f"({literal(a)}) {op} vector({literal(b)})", 0, lambda _: [({}, b)] if compute(a, b) else [])
    # Precedence and association: the same tree written by Python, fully in parentheses there.
    precedence = [["or"], ["and"], ["<", ">"], ["+", "-"], ["*", "/", "%"], ["^"]]
    level = {op: i for i, ops in enumerate(precedence) for op in ops}

    def expression(depth):
        if depth == 0:
            value = float(script.random.randint(1, 9))
            return literal(value), value, 9
        op = script.pick("+", "-", "*", "/", "%", "^", "+", "*")
        left, right = expression(depth - 1), expression(script.random.randint(0, depth - 1))
        mine = level[op]

        def wrapped(side, is_right):
            needs = side[2] < mine or (side[2] == mine and ((op == "^") != is_right))
            return f"({side[0]})" if needs else side[0]
        return f"{wrapped(left, False)} {op} {wrapped(right, True)}", s.ARITHMETIC[op](left[1], right[1]), mine
    for _ in range(60):
        query, value, _ = expression(3)
        script.ask(query, 0, lambda _: value)
    script.write()


def functions():
    script = Script("functions", 2)
    libm = {"abs": abs, "ceil": lambda v: v if math.isnan(v) or math.isinf(v) else math.copysign(float(math.ceil(v)), v), "sgn": lambda v: v if v == 0 or math.isnan(v) else math.copysign(1.0, v),
            "floor": lambda v: v if math.isnan(v) or math.isinf(v) else float(math.floor(v)),
            "deg": lambda v: v * 180 / math.pi, "rad": lambda v: v * math.pi / 180, "ln": s.LIBM.log}
    for name in ["exp", "log2", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"]:
        libm[name] = getattr(s.LIBM, name)
    values = [v for v in ODD if v != 5e-324] + [0.999, 1.0000001, 42.0, 0.3, -0.7, 2.0]
    for name, compute in libm.items():
        for value in script.random.sample(values, 9):
            # Go and C reduce huge angles alike, but not to the last bit.
            if name in ("sin", "cos", "tan") and math.isfinite(value) and abs(value) > 1e9:
                continue
            script.ask(f"{name}(vector({literal(value)}))", 0, lambda _: [({}, float(compute(value)))])
    for _ in range(40):
        value, to = round(script.random.uniform(-50, 50), 3), script.pick(1.0, 0.5, 5.0, 0.1, 7.0, -2.0, 1e-3)
        script.ask(f"round(vector({literal(value)}), {literal(to)})", 0, lambda _: [({}, math.floor(value * (1 / to) + 0.5) / (1 / to))])

    def go_min(a, b):
        return -INF if -INF in (a, b) else NAN if math.isnan(a) or math.isnan(b) else min(a, b)

    def go_max(a, b):
        return -go_min(-a, -b)
    for _ in range(60):
        value, low, high = script.random.choice(ODD), script.random.choice(ODD), script.random.choice(ODD)
        kind = script.pick("clamp", "clamp_min", "clamp_max", "max_of", "min_of")
        if kind == "clamp":
            script.ask(f"clamp(vector({literal(value)}), {literal(low)}, {literal(high)})", 0,
                       lambda _: [] if high < low else [({}, go_max(low, go_min(high, value)))])
        elif kind == "clamp_min":
            script.ask(f"clamp_min(vector({literal(value)}), {literal(low)})", 0, lambda _: [({}, go_max(low, value))])
        elif kind == "clamp_max":
            script.ask(f"clamp_max(vector({literal(value)}), {literal(high)})", 0, lambda _: [({}, go_min(high, value))])
        else:
            script.ask(f"{kind}({literal(low)}, {literal(high)})", 0, lambda _: (go_max if kind == "max_of" else go_min)(low, high))
    calendar = {"year": lambda t: t.year, "month": lambda t: t.month, "day_of_month": lambda t: t.day, "hour": lambda t: t.hour, "minute": lambda t: t.minute,
                "day_of_week": lambda t: (t.weekday() + 1) % 7, "day_of_year": lambda t: t.timetuple().tm_yday,
                "days_in_month": lambda t: ((t.replace(day=28) + datetime.timedelta(days=4)).replace(day=1) - datetime.timedelta(days=1)).day}
    epoch = datetime.datetime(1970, 1, 1)
    for name, compute in calendar.items():
        for _ in range(12):
            seconds = script.random.choice([script.random.randint(-5_000_000_000, 8_000_000_000), script.random.randint(0, 40_000) * 86400 - 1, 951782400, 4107542400])
            moment = epoch + datetime.timedelta(seconds=seconds)
            script.ask(f"{name}(vector({seconds}))", 0, lambda _: [({}, float(compute(moment)))])
        at = script.random.randint(0, 2_000_000_000_000)
        script.ask(f"{name}()", at, lambda t: [({}, float(compute(epoch + datetime.timedelta(seconds=t // 1000))))])
    script.write()


def random_series(script, count, length, step, kinds):
    data = []
    for i in range(count):
        kind = kinds[i % len(kinds)]
        value, samples = 0.0, []
        for j in range(length):
            if script.random.random() < 0.12:
                continue
            if kind == "counter":
                value = 0.0 if script.random.random() < 0.08 else value + script.random.randint(0, 40) / 4
            elif kind == "gauge":
                value = script.random.randint(-400, 400) / 8
            elif kind == "constant":
                value = 42.0
            elif kind == "odd":
                value = script.random.choice([NAN, INF, -INF, 0.0, 1.5, -2.5, 8.0])
            if script.random.random() < 0.03:
                samples.append((j * step, STALE))
            else:
                samples.append((j * step, value))
        data.append(({"__name__": f"{kind}_total", "i": str(i), "zone": "ab"[i % 2]}, samples or [(0, 1.0)]))
    return data


def matchers_of(script, names):
    name = script.pick(*names)
    tests = [("__name__", lambda v: v == name)]
    suffix = script.pick("", "", '{zone="a"}', '{zone!="a"}', '{i=~"[0-3]"}', '{i!~"1|2", zone="b"}', '{other=""}')
    more = {"": [], '{zone="a"}': [("zone", lambda v: v == "a")], '{zone!="a"}': [("zone", lambda v: v != "a")],
            '{i=~"[0-3]"}': [("i", lambda v: v in ("0", "1", "2", "3"))],
            '{i!~"1|2", zone="b"}': [("i", lambda v: v not in ("1", "2")), ("zone", lambda v: v == "b")], '{other=""}': []}
    return name + suffix, tests + more[suffix]


def duration(ms):
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"


def when(script, last):
    """A time or a range, and the way from the step's time to the selector's: offset and @."""
    at = script.random.randint(0, last) if script.random.random() < 0.5 else script.random.randrange(0, last, 5000)
    if script.random.random() < 0.35:
        step = script.pick(10_000, 15_000, 37_000, 60_000)
        at = (at, at + step * script.random.randint(1, 6), step)
    kind = script.random.random()
    if kind < 0.2:
        offset = script.pick(20_000, 7_000, -15_000, 61_001)
        return at, f" offset {'-' if offset < 0 else ''}{duration(abs(offset))}", lambda t: t - offset
    if kind < 0.3:
        pinned = script.random.randint(0, last)
        return at, f" @ {pinned / 1000:.3f}", lambda t: pinned
    if kind < 0.36 and not isinstance(at, int):
        return at, " @ end()", lambda t: at[1]
    return at, "", lambda t: t


def windows():
    script = Script("windows", 3)
    names = ["counter_total", "gauge_total", "constant_total", "odd_total"]
    for _ in range(3):
        step = script.pick(10_000, 15_000, 20_000)
        length = 60
        script.load(random_series(script, 8, length, step, ["counter", "gauge", "constant", "odd"]), step)
        data, last = script.data, (length + 12) * step
        for function in list(s.WINDOWS) * 7:
            selector, tests = matchers_of(script, names)
            size = script.pick(step, 2 * step, 45_000, 60_000, 90_001, 300_000, 5 * step)
            at, modifier, moved = when(script, last)
            params, before, after = (), "", ""
            if function == "quantile_over_time":
                params = (script.pick(0.0, 0.25, 0.5, 0.9, 1.0),)
                before = f"{literal(params[0])}, "
            elif function == "predict_linear":
                params = (script.pick(60.0, -30.0, 600.0),)
                after = f", {literal(params[0])}"
            elif function == "double_exponential_smoothing":
                params = (script.pick(0.1, 0.5, 0.9), script.pick(0.2, 0.7))
                after = f", {params[0]}, {params[1]}"
            # Sums of infinities and NaN, and of numbers that cancel, depend on the order of the steps.
            if "odd" in selector and function in ("deriv", "predict_linear", "double_exponential_smoothing", "rate", "increase", "delta", "quantile_over_time"):
                continue
            script.ask(f"{function}({before}{selector}[{duration(size)}]{modifier}{after})", at,
                       lambda t: s.finished(s.over_time(function, data, tests, size, moved(t), t, *params)))
    script.write()


def extended():
    script = Script("extended", 4)
    for _ in range(3):
        step, length = script.pick(10_000, 20_000), 50
        script.load(random_series(script, 6, length, step, ["counter", "gauge"]), step)
        data, last = script.data, (length + 10) * step
        for kind in ("anchored", "smoothed"):
            for function in ["rate", "increase", "delta"] + (["changes", "resets"] if kind == "anchored" else []):
                for _ in range(11):
                    selector, tests = matchers_of(script, ["counter_total", "gauge_total"])
                    size = script.pick(step, 2 * step, 45_000, 60_000, 90_001, 5 * step)
                    at, modifier, moved = when(script, last)

                    def answer(t):
                        found = []
                        for labels, samples in data:
                            if s.matches(labels, tests):
                                value = s.extended(function, kind, samples, moved(t) - size, moved(t))
                                if value is not None:
                                    found.append((labels, True, value))
                        return s.finished(found)
                    script.ask(f"{function}({selector}[{duration(size)}] {kind}{modifier})", at, answer)
    script.write()


def selectors():
    script = Script("selectors", 5)
    for _ in range(3):
        step, length = script.pick(10_000, 30_000, 60_000), 40
        script.load(random_series(script, 8, length, step, ["counter", "gauge", "odd"]), step)
        data, last = script.data, length * step + 400_000
        for _ in range(75):
            selector, tests = matchers_of(script, ["counter_total", "gauge_total", "odd_total"])
            at, modifier, moved = when(script, last)
            script.ask(selector + modifier, at, lambda t: s.finished(s.instant(data, tests, moved(t))))
    script.write()


def vectors(script):
    """A random vector of few labels at time 0, as loaded data."""
    data, seen = [], set()
    for _ in range(40):
        labels = {"__name__": script.pick("left", "right", "other"), "a": script.pick("1", "2", "3"), "b": script.pick("x", "y", ""), "c": script.pick("p", "q", "")}
        labels = {n: v for n, v in labels.items() if v}
        if s.key(labels) in seen:
            continue
        seen.add(s.key(labels))
        data.append((labels, [(0, script.random.choice([float(script.random.randint(-9, 9)), script.random.randint(-80, 80) / 8])), (60_000, float(script.random.randint(-9, 9)))]))
    return data


LABELS = ["a", "b", "c", "d"]


def aggregations():
    script = Script("aggregations", 6)
    for _ in range(4):
        data = vectors(script)
        for i, (labels, samples) in enumerate(data):
            # Different values, so that the order of ranks is no chance.
            samples[0] = (0, samples[0][1] + i / 1024)
        script.load(data, 60_000)
        for operator in list(s.AGGREGATES) * 5 + ["quantile", "topk", "bottomk"] * 7 + ["count_values"] * 6:
            name = script.pick("left", "right", "other")
            is_without = script.random.random() < 0.4
            names = script.random.sample(LABELS + ["__name__"] * (not is_without), script.random.randint(0, 3))
            grouping = "" if not names and not is_without else f" {'without' if is_without else 'by'} ({', '.join(names)})"
            vector = lambda t: s.instant(data, [("__name__", lambda v: v == name)], t)
            at = script.pick(0, 60_000) if operator not in ("topk", "bottomk") else 0
            if operator == "count_values":
                label = script.pick("v", "a")
                script.ask(f'count_values{grouping} ("{label}", {name})', at, lambda t: s.finished(s.count_values(label, vector(t), names, is_without, plain)))
            elif operator in ("quantile", "topk", "bottomk"):
                param = script.pick(0.1, 0.5, 1.0) if operator == "quantile" else script.pick(0.0, 1.0, 2.0, 5.9)
                script.ask(f"{operator}{grouping} ({literal(param)}, {name})", at, lambda t: s.finished(s.aggregate(operator, vector(t), names, is_without, param)))
            elif script.random.random() < 0.3:
                script.ask(f"{operator}{grouping} (-{name})", at,
                           lambda t: s.finished(s.aggregate(operator, [(l, True, -v) for l, _, v in vector(t)], names, is_without)))
            else:
                script.ask(f"{operator}{grouping} ({name})", at, lambda t: s.finished(s.aggregate(operator, vector(t), names, is_without)))
    script.write()


def matching():
    script = Script("matching", 7)
    for _ in range(5):
        data = vectors(script)
        script.load(data, 60_000)

        def side(name):
            kind = script.random.random()
            test = [("__name__", lambda v: v == name)]
            if kind < 0.15:
                return f"max by (a) ({name})", lambda t: s.aggregate("max", s.instant(data, test, t), ["a"], False)
            if kind < 0.3:
                return f"max by (a, b) ({name})", lambda t: s.aggregate("max", s.instant(data, test, t), ["a", "b"], False)
            if kind < 0.4:
                return f"abs({name})", lambda t: [(l, True, abs(v)) for l, _, v in s.instant(data, test, t)]
            if kind < 0.5:
                return f'{name}{{a="1"}}', lambda t: s.instant(data, test + [("a", lambda v: v == "1")], t)
            return name, lambda t: s.instant(data, test, t)
        for _ in range(75):
            left, right = side(script.pick("left", "right")), side(script.pick("right", "other", "left"))
            on = script.random.random() < 0.55
            names = script.random.sample(LABELS, script.random.randint(0, 3))
            matching = f" {'on' if on else 'ignoring'} ({', '.join(names)})" if on or names else ""
            at = script.pick(0, 60_000)
            if script.random.random() < 0.25:
                op = script.pick("and", "or", "unless")
                script.ask(f"({left[0]}) {op}{matching} ({right[0]})", at, lambda t: s.finished(s.sets(op, left[1](t), right[1](t), on, names)))
                continue
            op = script.pick("+", "-", "*", "/", "==", "!=", "<", ">=")
            as_bool = op in s.COMPARISONS and script.random.random() < 0.5
            group, include, modifier = None, [], ""
            if matching and script.random.random() < 0.5:
                group = script.pick("left", "right")
                include = script.random.sample([l for l in LABELS if not (on and l in names)], script.random.randint(0, 1))
                modifier = f" group_{group} ({', '.join(include)})"
            fills = {}
            if script.random.random() < 0.3:
                value = float(script.random.randint(-2, 2))
                which = script.pick("fill", "fill_left", "fill_right")
                modifier += f" {which} ({literal(value)})"
                fills = {"fill_left": value, "fill_right": value} if which == "fill" else {which: value}
            script.ask(f"({left[0]}) {op}{' bool' if as_bool else ''}{matching}{modifier} ({right[0]})", at,
                       lambda t: s.finished(s.binary(op, left[1](t), right[1](t), on, names, group, include, as_bool=as_bool, **fills)))
    script.write()


def subqueries():
    script = Script("subqueries", 8)
    for _ in range(3):
        step, length = script.pick(10_000, 15_000), 60
        script.load(random_series(script, 6, length, step, ["counter", "gauge"]), step)
        data, last = script.data, (length + 10) * step
        inner_functions = [None, "rate", "max_over_time", "last_over_time", "negative"]
        for _ in range(60):
            selector, tests = matchers_of(script, ["counter_total", "gauge_total"])
            inner = script.random.choice(inner_functions)
            size = script.pick(30_000, 60_000)

            def at_time(t):
                if inner is None:
                    return s.instant(data, tests, t)
                if inner == "negative":
                    return [(l, True, -v) for l, _, v in s.instant(data, tests, t)]
                return s.over_time(inner, data, tests, size, t, t)
            expression = {None: selector, "negative": f"(-{selector})"}.get(inner, f"{inner}({selector}[{duration(size)}])")
            outer = script.pick("sum_over_time", "max_over_time", "count_over_time", "last_over_time", "changes", "increase", "delta", "first_over_time", "avg_over_time", "idelta")
            length_ms, sub = script.pick(60_000, 119_000, 180_001), script.pick(None, 7_000, 10_000, 30_000, 45_000)
            at, modifier, moved = when(script, last)

            def answer(t):
                end = moved(t)
                every = sub or 60_000
                first = every * math.floor((end - length_ms) / every)
                while first <= end - length_ms:
                    first += every
                rows = {}
                for time in range(first, end + 1, every):
                    for labels, drops, value in at_time(time):
                        rows.setdefault(s.key(labels), (labels, drops, []))[2].append((time, value))
                found = []
                for labels, drops, samples in rows.values():
                    value = s.WINDOWS[outer](samples, end - length_ms, end, t)
                    if value is not None:
                        found.append((labels, drops or outer not in s.KEEP_NAMES, value))
                return s.finished(found)
            script.ask(f"{outer}({expression}[{duration(length_ms)}:{duration(sub) if sub else ''}]{modifier})", at, answer)
    script.write()


def classic_histograms():
    script = Script("histograms", 9)
    for _ in range(4):
        data = []
        for i in range(3):
            bounds = script.pick(["0.1", "0.5", "1", "2.5", "+Inf"], ["-1", "0", "1", "10", "+Inf"], ["5", "+Inf"], ["1", "2", "4", "8"])
            counts = [[0.0] * 3 for _ in bounds]
            for t in range(3):
                below = 0.0
                for j in range(len(bounds)):
                    below += script.random.randint(0, 12)
                    counts[j][t] = below
            for bound, values in zip(bounds, counts):
                data.append(({"__name__": "h_bucket", "i": str(i), "le": bound}, [(t * 60_000, v) for t, v in enumerate(values)]))
        script.load(data, 60_000)
        vector = lambda t: s.instant(data, [("__name__", lambda v: v == "h_bucket")], t)
        for _ in range(22):
            q = script.pick(0.0, 0.1, 0.5, 0.9, 0.99, 1.0, round(script.random.random(), 3))
            at = script.pick(0, 60_000, 120_000, (0, 120_000, 60_000))
            script.ask(f"histogram_quantile({literal(q)}, h_bucket)", at,
                       lambda t: s.finished([(labels, True, s.bucket_quantile(q, buckets)) for labels, buckets in s.histograms(vector(t))]))
            lower, upper = script.random.choice([-INF, -1.0, 0.0, 0.3, 1.0, 5.0]), script.random.choice([INF, 0.2, 1.0, 3.0, 20.0, NAN])
            script.ask(f"histogram_fraction({literal(lower)}, {literal(upper)}, h_bucket)", at,
                       lambda t: s.finished([(labels, True, s.bucket_fraction(lower, upper, buckets)) for labels, buckets in s.histograms(vector(t))]))
    script.write()


def distinct(vector):
    if len({s.key(labels) for labels, _, _ in vector}) < len(vector):
        raise Fail("")
    return vector


def compositions():
    """Expressions of everything, nested: names that are still there until the end, labels made of them, groups by them."""
    script = Script("compositions", 10)
    for _ in range(4):
        step, length = script.pick(10_000, 15_000), 40
        # Whole numbers keep the order of summation from mattering.
        script.load(random_series(script, 7, length, step, ["counter", "gauge", "constant"]), step)
        data, last = script.data, (length + 6) * step

        def leaf():
            if script.random.random() < 0.3:
                name, tests = script.pick(('{zone="a"}', [("zone", lambda v: v == "a")]), ('{__name__=~"counter.*|gauge.*"}', [("__name__", lambda v: v[:5] in ("count", "gauge"))]))
            else:
                name, tests = matchers_of(script, ["counter_total", "gauge_total", "constant_total", "nothing_total"])
            if script.random.random() < 0.45:
                return name, lambda t: s.instant(data, tests, t)
            function = script.pick("rate", "increase", "max_over_time", "last_over_time", "count_over_time", "changes", "sum_over_time", "first_over_time")
            size = script.pick(30_000, 60_000, 90_001)
            return f"{function}({name}[{duration(size)}])", lambda t: s.over_time(function, data, tests, size, t, t)

        def relabelled(text_of, vector):
            target, source = script.pick("new", "zone", "__name__"), script.pick("__name__", "zone", "i", "nothing")
            pattern, template = script.pick(("(.*)_total", "$1"), ("([a-z]+).*", "x${1}"), (".*", "fixed"), ("(.)(.*)", "$2$1"), ("a|1", ""))

            def compute(t):
                found = []
                for labels, drops, value in vector(t):
                    match = re.fullmatch(pattern, labels.get(source, ""), re.S)
                    if match:
                        filled = re.sub(r"\$\{?(\d)\}?", lambda m: match.group(int(m.group(1))), template)
                        labels, drops = {**labels, target: filled}, drops and target != "__name__"
                    found.append((labels, drops, value))
                return distinct(found)
            return f'label_replace({text_of}, "{target}", "{template}", "{source}", "{pattern}")', compute

        def expression(depth):
            if depth == 0:
                return leaf()
            kind = script.random.randint(0, 11)
            inner, vector = expression(depth - 1)
            if kind == 0:
                return f"-({inner})", lambda t: [(l, True, -v) for l, _, v in vector(t)]
            if kind == 1:
                op, scalar, swapped = script.pick("+", "*", ">", "<=", "=="), float(script.random.randint(-3, 60)), script.random.random() < 0.4
                as_bool = op in s.COMPARISONS and script.random.random() < 0.4
                middle = f" {op}{' bool' if as_bool else ''} "
                query = f"{literal(scalar)}{middle}({inner})" if swapped else f"({inner}){middle}{literal(scalar)}"
                return query, lambda t: s.scalar_binary(op, vector(t), scalar, swapped, as_bool)
            if kind in (2, 3):
                return relabelled(inner, vector)
            if kind == 4:
                target, sources = script.pick("new", "__name__", "i"), script.random.sample(["__name__", "i", "zone"], script.random.randint(1, 2))

                def joined(t):
                    return distinct([({**l, target: "-".join(l.get(n, "") for n in sources)}, d and target != "__name__", v) for l, d, v in vector(t)])
                quoted = ", ".join(f'"{n}"' for n in sources)
                return f'label_join({inner}, "{target}", "-", {quoted})', joined
            if kind in (5, 6, 7):
                operator, is_without = script.pick("sum", "max", "min", "count", "group", "avg"), script.random.random() < 0.35
                names = script.random.sample(["i", "zone", "new"] + ["__name__"] * (not is_without), script.random.randint(0, 3))
                grouping = "" if not names and not is_without else f" {'without' if is_without else 'by'} ({', '.join(names)})"
                return f"{operator}{grouping} ({inner})", lambda t: s.aggregate(operator, vector(t), names, is_without)
            if kind == 8:
                outer, size, every = script.pick("last_over_time", "max_over_time", "count_over_time"), script.pick(40_000, 61_000), script.pick(10_000, 25_000)

                def over(t):
                    first = every * math.floor((t - size) / every)
                    while first <= t - size:
                        first += every
                    rows = {}
                    for time in range(first, t + 1, every):
                        for labels, drops, value in vector(time):
                            known = rows.setdefault(s.key(labels), [labels, drops, []])
                            known[2].append((time, value))
                    return [(l, d or outer not in s.KEEP_NAMES, s.WINDOWS[outer](samples, t - size, t, t)) for l, d, samples in rows.values()]
                return f"{outer}(({inner})[{duration(size)}:{duration(every)}])", over
            other, theirs = expression(script.random.randint(0, depth - 1))
            on = script.random.random() < 0.6
            names = script.random.sample(["i", "zone", "new", "__name__"], script.random.randint(0, 2))
            matching = f" {'on' if on else 'ignoring'} ({', '.join(names)})" if on or names else ""
            if kind == 9:
                op = script.pick("and", "or", "unless")
                return f"({inner}) {op}{matching} ({other})", lambda t: s.sets(op, vector(t), theirs(t), on, names)
            op, group, modifier = script.pick("+", "*", ">", "!="), None, ""
            if matching and script.random.random() < 0.5:
                group = script.pick("left", "right")
                modifier = f" group_{group} ()"
            fills = {}
            if script.random.random() < 0.2:
                fills, modifier = {"fill_right": 0.0}, modifier + " fill_right (0)"
            return f"({inner}) {op}{matching}{modifier} ({other})", lambda t: s.binary(op, vector(t), theirs(t), on, names, group, (), **fills)
        for _ in range(170):
            query, vector = expression(script.random.randint(1, 3))
            at = when(script, last)[0]
            script.ask(query, at, lambda t: s.finished(vector(t)))
    script.write()


if __name__ == "__main__":
    operators()
    functions()
    windows()
    extended()
    selectors()
    aggregations()
    matching()
    subqueries()
    classic_histograms()
    compositions()
