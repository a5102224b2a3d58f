"""PromQL a second time, as plainly as possible: one step at a time, no speed, no parser. It is the oracle of the generated scripts.

A vector is a list of (labels, drops_name, value); labels are a dict with __name__. Errors are Fail."""

import ctypes
import ctypes.util
import math

LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
for name, count in [("pow", 2), ("fmod", 2), ("atan2", 2), ("exp", 1), ("log", 1), ("log2", 1), ("log10", 1), ("sqrt", 1), ("sin", 1), ("cos", 1),
                    ("tan", 1), ("asin", 1), ("acos", 1), ("atan", 1), ("sinh", 1), ("cosh", 1), ("tanh", 1), ("asinh", 1), ("acosh", 1), ("atanh", 1)]:
    function = getattr(LIBM, name)
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_double] * count

NAN, INF = math.nan, math.inf
LOOKBACK = 300_000
STALE = object()


class Fail(Exception):
    pass


def divide(a, b):
    if b != 0 or math.isnan(a) or math.isnan(b):
        return a / b
    if a == 0:
        return NAN
    return math.copysign(INF, a) * math.copysign(1, b)


def number(f):
    """Overflows give infinities instead of exceptions."""
    def guarded(*args):
        try:
            return f(*args)
        except OverflowError:
            return INF
    return guarded


ARITHMETIC = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": divide,
    "%": lambda a, b: LIBM.fmod(a, b), "^": lambda a, b: LIBM.pow(a, b), "atan2": lambda a, b: LIBM.atan2(a, b),
}
COMPARISONS = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
}
METADATA = ("__name__", "__type__", "__unit__")


def key(labels):
    return tuple(sorted((n, v) for n, v in labels.items() if v != ""))


def without(labels, names):
    return {n: v for n, v in labels.items() if n not in names}


def only(labels, names):
    return {n: v for n, v in labels.items() if n in names}


def finished(vector):
    seen = set()
    result = []
    for labels, drops, value in vector:
        labels = without(labels, METADATA) if drops else labels
        if key(labels) in seen:
            raise Fail("vector cannot contain metrics with the same labelset")
        seen.add(key(labels))
        result.append((labels, value))
    return result


# Reading. `data` is a list of (labels, [(time, value)]), the marker of staleness among the values.

def matches(labels, matchers):
    return all(test(labels.get(name, "")) for name, test in matchers)


def instant(data, matchers, at):
    result = []
    for labels, samples in data:
        seen = [(t, v) for t, v in samples if at - LOOKBACK < t <= at]
        if matches(labels, matchers) and seen and seen[-1][1] is not STALE:
            result.append((labels, False, seen[-1][1]))
    return result


def window(samples, start, end):
    return [(t, v) for t, v in samples if start < t <= end and v is not STALE]


# Functions of a window: samples, its start and end, the time of the step, parameters.

def mean(values):
    if any(math.isnan(v) or math.isinf(v) for v in values):
        return sum(values) / len(values)
    return math.fsum(v / len(values) for v in values) if max(map(abs, values)) > 1e300 else math.fsum(values) / len(values)


def total(values):
    return sum(values) if any(math.isnan(v) or math.isinf(v) for v in values) else math.fsum(values)


def variance(values):
    if any(math.isnan(v) or math.isinf(v) for v in values):
        return NAN
    m = mean(values)
    return math.fsum((v - m) ** 2 for v in values) / len(values)


def quantile(q, values):
    if not values or math.isnan(q):
        return NAN
    if q < 0:
        return -INF
    if q > 1:
        return INF
    ordered = sorted(values, key=lambda v: (not math.isnan(v), v if not math.isnan(v) else 0))
    rank = q * (len(ordered) - 1)
    low = int(math.floor(rank))
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[min(low + 1, len(ordered) - 1)] * weight


def extrapolated(samples, start, end, counter, per_second):
    if len(samples) < 2:
        return None
    change = samples[-1][1] - samples[0][1]
    if counter:
        change += sum(a for (_, a), (_, b) in zip(samples, samples[1:]) if b < a)
    first, last = samples[0][0], samples[-1][0]
    sampled = (last - first) / 1000
    distance = sampled / (len(samples) - 1)
    to_start, to_end = (first - start) / 1000, (end - last) / 1000
    if to_start >= distance * 1.1:
        to_start = distance / 2
    if counter and change > 0 and samples[0][1] >= 0:
        to_start = min(to_start, sampled * samples[0][1] / change)
    if to_end >= distance * 1.1:
        to_end = distance / 2
    result = change * (sampled + to_start + to_end) / sampled
    return result / ((end - start) / 1000) if per_second else result


def line(samples, origin):
    values = [v for _, v in samples]
    if all(v == values[0] for v in values[1:]):
        return (NAN, NAN) if math.isinf(values[0]) else (0.0, values[0])
    xs = [(t - origin) / 1000 for t, _ in samples]
    n = len(xs)
    mx, my = total(xs) / n, total(values) / n
    slope = total([(x - mx) * (y - my) for x, y in zip(xs, values)]) / total([(x - mx) ** 2 for x in xs])
    return slope, my - slope * mx


def smoothing(values, sf, tf):
    if len(values) < 2:
        return None
    level, trend = values[0], values[1] - values[0]
    for i, value in enumerate(values[1:]):
        if i > 0:
            trend = tf * (level - before) + (1 - tf) * trend
        before, level = level, sf * value + (1 - sf) * (level + trend)
    return level


def extreme(samples, better):
    best = samples[0]
    for sample in samples:
        if better(sample[1], best[1]) or math.isnan(best[1]):
            best = sample
    return best


def changes(values):
    return float(sum(1 for a, b in zip(values, values[1:]) if a != b and not (math.isnan(a) and math.isnan(b))))


def resets(values):
    return float(sum(1 for a, b in zip(values, values[1:]) if b < a))


def last_two(samples, rate):
    if len(samples) < 2:
        return None
    (t0, v0), (t1, v1) = samples[-2:]
    change = v1 if rate and v1 < v0 else v1 - v0
    return change / ((t1 - t0) / 1000) if rate else change


def values_of(samples):
    return [v for _, v in samples]


def mad(values):
    if any(math.isnan(v) for v in values):
        return NAN
    median = quantile(0.5, values)
    return quantile(0.5, [abs(v - median) for v in values])


WINDOWS = {
    "sum_over_time": lambda s, *_: total(values_of(s)),
    "avg_over_time": lambda s, *_: mean(values_of(s)),
    "count_over_time": lambda s, *_: float(len(s)),
    "present_over_time": lambda s, *_: 1.0,
    "last_over_time": lambda s, *_: s[-1][1],
    "first_over_time": lambda s, *_: s[0][1],
    "max_over_time": lambda s, *_: extreme(s, lambda a, b: a > b)[1],
    "min_over_time": lambda s, *_: extreme(s, lambda a, b: a < b)[1],
    "ts_of_max_over_time": lambda s, *_: extreme(s, lambda a, b: a >= b)[0] / 1000,
    "ts_of_min_over_time": lambda s, *_: extreme(s, lambda a, b: a <= b)[0] / 1000,
    "ts_of_first_over_time": lambda s, *_: s[0][0] / 1000,
    "ts_of_last_over_time": lambda s, *_: s[-1][0] / 1000,
    "stdvar_over_time": lambda s, *_: variance(values_of(s)),
    "stddev_over_time": lambda s, *_: math.sqrt(variance(values_of(s))),
    "mad_over_time": lambda s, *_: mad(values_of(s)),
    "changes": lambda s, *_: changes(values_of(s)),
    "resets": lambda s, *_: resets(values_of(s)),
    "rate": lambda s, start, end, *_: extrapolated(s, start, end, True, True),
    "increase": lambda s, start, end, *_: extrapolated(s, start, end, True, False),
    "delta": lambda s, start, end, *_: extrapolated(s, start, end, False, False),
    "irate": lambda s, *_: last_two(s, True),
    "idelta": lambda s, *_: last_two(s, False),
    "deriv": lambda s, *_: line(s, s[0][0])[0] if len(s) > 1 else None,
    "predict_linear": lambda s, start, end, now, k: (lambda l: l[0] * k + l[1])(line(s, now)) if len(s) > 1 else None,
    "quantile_over_time": lambda s, start, end, now, q: quantile(q, values_of(s)),
    "double_exponential_smoothing": lambda s, start, end, now, sf, tf: smoothing(values_of(s), sf, tf),
}
KEEP_NAMES = ("last_over_time", "first_over_time")


def over_time(function, data, matchers, length, at, now, *params):
    result = []
    for labels, samples in data:
        inside = window(samples, at - length, at)
        if matches(labels, matchers) and inside:
            value = WINDOWS[function](inside, at - length, at, now, *params)
            if value is not None:
                result.append((labels, function not in KEEP_NAMES, value))
    return result


# `anchored` and `smoothed`.

def on_line(a, b, at, counter):
    start = 0 if counter and b[1] < a[1] else a[1]
    return start + (b[1] - start) * (at - a[0]) / (b[0] - a[0])


def extended(function, kind, samples, start, end):
    wide = window(samples, start - LOOKBACK, end + (LOOKBACK if kind == "smoothed" else 0))
    inside = [s for s in wide if start < s[0] <= end]
    before = [s for s in wide if s[0] <= start]
    behind = [s for s in wide if s[0] > end]
    counter = function in ("rate", "increase")
    if kind == "anchored":
        if not inside:
            return None
        points = values_of(before[-1:] + inside)
        if function == "changes":
            return changes(points)
        if function == "resets":
            return resets(points)
        left, right, middle = points[0], points[-1], points
    else:
        # There must be something after the start, and something at or before the end.
        if not inside and not (before and behind):
            return None
        known = before[-1:] + inside + behind[:1]
        first, last = known[0], known[-1]
        if first[0] < start:
            left = on_line(first, known[1], start, counter)
        else:
            left = first[1]
        if last[0] > end and not (inside and inside[-1][0] == end):
            right = on_line(known[-2], last, end, counter)
        else:
            right = (inside or before)[-1][1]
        middle = values_of([s for s in inside if s[0] < end])
    change = right - left
    if counter:
        path = [left] + list(middle) + [right]
        change += sum(a for a, b in zip(path, path[1:]) if b < a)
    return change / ((end - start) / 1000) if function == "rate" else change


# Aggregation.

def replace_extreme(values, better):
    best = values[0]
    for value in values[1:]:
        if better(value, best) or math.isnan(best):
            best = value
    return best


AGGREGATES = {
    "sum": total, "avg": mean, "count": lambda v: float(len(v)), "group": lambda v: 1.0,
    "min": lambda v: replace_extreme(v, lambda a, b: a < b), "max": lambda v: replace_extreme(v, lambda a, b: a > b),
    "stdvar": variance, "stddev": lambda v: math.sqrt(variance(v)),
}


def group_labels(labels, names, is_without):
    if is_without:
        return without(labels, set(names) | {"__name__"})
    return only(labels, names)


def grouped(vector, names, is_without):
    groups = {}
    for labels, drops, value in vector:
        wanted = group_labels(labels, names, is_without)
        groups.setdefault(key(wanted), (wanted, []))[1].append((labels, drops, value))
    return list(groups.values())


def aggregate(operator, vector, names, is_without, param=None):
    result = []
    for labels, members in grouped(vector, names, is_without):
        values = [v for _, _, v in members]
        drops = any(d for _, d, _ in members)
        if operator == "quantile":
            result.append((labels, drops, quantile(param, values)))
        elif operator in ("topk", "bottomk"):
            sign = -1 if operator == "topk" else 1
            ranked = sorted(members, key=lambda m: (math.isnan(m[2]), sign * m[2] if not math.isnan(m[2]) else 0))
            result.extend(ranked[:max(int(param), 0)])
        else:
            result.append((labels, drops, AGGREGATES[operator](values)))
    return result


def count_values(label, vector, names, is_without, text):
    counts = {}
    for labels, _, value in vector:
        wanted = group_labels({**labels, label: text(value)}, list(names) + ([] if is_without else [label]), is_without)
        known = counts.setdefault(key(wanted), [wanted, 0.0])
        known[1] += 1
    return [(labels, False, count) for labels, count in counts.values()]


# Binary operators between vectors.

def signature(labels, on, names):
    return only(labels, names) if on else without(labels, set(names) | {"__name__"})


def binary(op, left, right, on=False, names=(), group=None, include=(), fill_left=None, fill_right=None, as_bool=False):
    if (not left and not right) or ((not left or not right) and fill_left is None and fill_right is None):
        return []
    swapped = group == "right"
    many, one = (right, left) if swapped else (left, right)
    fill_many, fill_one = (fill_right, fill_left) if swapped else (fill_left, fill_right)
    partners = {}
    for sample in one:
        at = key(signature(sample[0], on, names))
        if at in partners:
            raise Fail("")
        partners[at] = sample
    result, taken = [], {}

    def combine(m, o, at):
        a, b = (o[2], m[2]) if swapped else (m[2], o[2])
        labels = without(m[0], METADATA) if op in ARITHMETIC else dict(m[0])
        if group is None:
            labels = only(labels, names) if on else without(labels, names)
        for name in include:
            labels[name] = o[0].get(name, "")
        labels = dict(key(labels))
        mark = () if group is None else key(labels)
        if mark in taken.setdefault(at, set()):
            raise Fail("")
        taken[at].add(mark)
        drops = as_bool or m[1]
        if op in ARITHMETIC:
            result.append((labels, drops, ARITHMETIC[op](a, b)))
        elif as_bool:
            result.append((labels, True, 1.0 if COMPARISONS[op](a, b) else 0.0))
        elif COMPARISONS[op](a, b):
            result.append((labels, drops, a))

    for m in many:
        at = key(signature(m[0], on, names))
        if at in partners:
            combine(m, partners[at], at)
        elif fill_one is not None:
            combine(m, (signature(m[0], on, names), False, fill_one), at)
    if fill_many is not None:
        for at, o in partners.items():
            if at not in taken:
                combine((signature(o[0], on, names), False, fill_many), o, at)
    return result


def sets(op, left, right, on=False, names=()):
    theirs = {key(signature(s[0], on, names)) for s in right}
    ours = {key(signature(s[0], on, names)) for s in left}
    if op == "and":
        return [s for s in left if key(signature(s[0], on, names)) in theirs]
    if op == "unless":
        return [s for s in left if key(signature(s[0], on, names)) not in theirs]
    return left + [s for s in right if key(signature(s[0], on, names)) not in ours]


def scalar_binary(op, vector, scalar, swapped, as_bool):
    result = []
    for labels, drops, value in vector:
        a, b = (scalar, value) if swapped else (value, scalar)
        if op in ARITHMETIC:
            result.append((labels, True, ARITHMETIC[op](a, b)))
        elif as_bool:
            result.append((labels, True, 1.0 if COMPARISONS[op](a, b) else 0.0))
        elif COMPARISONS[op](a, b):
            result.append((labels, drops, value))
    return result


# Classic histograms.

def histograms(vector):
    found = {}
    for labels, _, value in vector:
        rest = without(labels, ("le",))
        found.setdefault(key(rest), (rest, []))[1].append((float(labels["le"].replace("+Inf", "inf")), value))
    return [(labels, sorted(buckets)) for labels, buckets in found.values()]


def bucket_quantile(q, buckets):
    if math.isnan(q):
        return NAN
    if q < 0 or q > 1:
        return -INF if q < 0 else INF
    if buckets[-1][0] != INF or len(buckets) < 2 or buckets[-1][1] == 0:
        return NAN
    rank = q * buckets[-1][1]
    at = next((i for i, (_, count) in enumerate(buckets[:-1]) if count >= rank), len(buckets) - 1)
    if at == len(buckets) - 1:
        return buckets[-2][0]
    if at == 0 and buckets[0][0] <= 0:
        return buckets[0][0]
    low, below = buckets[at - 1] if at > 0 else (0.0, 0.0)
    high, count = buckets[at]
    return low + (high - low) * divide(rank - below, count - below)


def bucket_fraction(lower, upper, buckets):
    count = buckets[-1][1]
    if buckets[-1][0] != INF or count == 0 or math.isnan(lower) or math.isnan(upper):
        return NAN
    if lower >= upper:
        return 0.0

    def below(value):
        before, low = 0.0, -INF if buckets[0][0] <= 0 else 0.0
        for high, cumulative in buckets:
            if value <= low:
                return before
            if value < high:
                return before + (cumulative - before) * ((value - low) / (high - low) if low > -INF else 1)
            before, low = cumulative, high
        return before
    return (below(upper) - below(lower)) / count
