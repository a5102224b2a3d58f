//! The registry of functions: one entry per function with its signature and its code.
//! A new function is one line here and, unless an existing one does, one function in `eval`.

use super::annotations::Annotations;
use super::ast::{Call, Node, ValueType};
use super::error::QueryError;
use super::eval::kept::{self, OfWindows};
use super::eval::{self, Civil, Evaluator, Grid, Output, Window, native};

use ValueType::{Matrix as M, Scalar as S, String as T, Vector as V};

/// One function: what it is called, what it takes and what it gives.
pub struct Function {
    /// The name, lower case.
    pub name: &'static str,
    /// The types of its arguments; the last one repeats when it is variadic.
    pub args: &'static [ValueType],
    /// 0: takes exactly `args`. n: the last of `args` may be missing or come up to n times. -1: any number of times.
    pub variadic: isize,
    /// The type of its result.
    pub returns: ValueType,
    /// Whether Prometheus hides it behind a feature flag. Here it always works.
    pub experimental: bool,
    /// Whether its result depends on the evaluation time beyond its arguments.
    pub(super) asks_time: bool,
    pub(super) code: Code,
}
impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What a function does.
pub(super) enum Code {
    /// Makes one number of each sample; the metric's name goes.
    Math(fn(f64) -> f64),
    /// Makes a number of a civil time: each sample's value, or the evaluation time.
    Calendar(fn(&Civil) -> f64),
    /// Makes one number of the samples in a window.
    Window(OverTime),
    /// Anything else.
    Other(fn(&mut Evaluator<'_>, &Call, Grid) -> Result<Output, QueryError>),
}

/// A function over windows of a range vector.
pub(super) struct OverTime {
    /// `None` gives no sample at this step.
    pub(super) compute: fn(&Window<'_>) -> Option<f64>,
    /// Looks at the scalar arguments once there is something to compute.
    pub(super) check: fn(&[f64; 2], usize, &mut Annotations) -> Result<(), QueryError>,
    /// Whether the result still is the metric itself (`last_over_time`).
    pub(super) keeps_name: bool,
    /// Whether the argument should be a counter by its name.
    pub(super) counter: bool,
    /// The same for a window that holds native histograms; it gets `compute` for the floats.
    pub(super) native: Native,
    /// The same from windows that the range is made of, where these tell enough.
    pub(super) windows: Option<OfWindows>,
}

/// What a function makes of a window with native histograms.
type Native = fn(&Window<'_>, fn(&Window<'_>) -> Option<f64>, &mut eval::native::Remarks<'_>) -> Option<eval::native::Sampled>;

const fn entry(name: &'static str, args: &'static [ValueType], returns: ValueType, code: Code) -> Function {
    Function { name, args, variadic: 0, returns, experimental: false, asks_time: false, code }
}
impl Function {
    const fn variadic(mut self, count: isize) -> Function {
        self.variadic = count;
        self
    }
    const fn experimental(mut self) -> Function {
        self.experimental = true;
        self
    }
    const fn asks_time(mut self) -> Function {
        self.asks_time = true;
        self
    }
    const fn keeps_name(mut self) -> Function {
        if let Code::Window(ref mut over_time) = self.code {
            over_time.keeps_name = true;
        }
        self
    }
    const fn of_counters(mut self) -> Function {
        if let Code::Window(ref mut over_time) = self.code {
            over_time.counter = true;
        }
        self
    }
    /// Says what becomes of native histograms; without this they are left out.
    const fn native(mut self, native: Native) -> Function {
        if let Code::Window(ref mut over_time) = self.code {
            over_time.native = native;
        }
        self
    }
    /// Says that windows are enough for it, and how.
    const fn of_windows(mut self, windows: OfWindows) -> Function {
        if let Code::Window(ref mut over_time) = self.code {
            over_time.windows = Some(windows);
        }
        self
    }
    const fn checked(mut self, check: fn(&[f64; 2], usize, &mut Annotations) -> Result<(), QueryError>) -> Function {
        if let Code::Window(ref mut over_time) = self.code {
            over_time.check = check;
        }
        self
    }
}
const fn math(name: &'static str, compute: fn(f64) -> f64) -> Function {
    entry(name, &[V], V, Code::Math(compute))
}
const fn calendar(name: &'static str, compute: fn(&Civil) -> f64) -> Function {
    entry(name, &[V], V, Code::Calendar(compute)).variadic(1).asks_time()
}
const fn window(name: &'static str, args: &'static [ValueType], compute: fn(&Window<'_>) -> Option<f64>) -> Function {
    entry(
        name,
        args,
        V,
        Code::Window(OverTime { compute, check: eval::any_parameters, keeps_name: false, counter: false, native: native::ignore, windows: None }),
    )
}
const fn other(
    name: &'static str,
    args: &'static [ValueType],
    returns: ValueType,
    code: fn(&mut Evaluator<'_>, &Call, Grid) -> Result<Output, QueryError>,
) -> Function {
    entry(name, args, returns, Code::Other(code))
}

static FUNCTIONS: &[Function] = &[
    // Every sample on its own.
    math("abs", f64::abs),
    math("acos", f64::acos),
    math("acosh", f64::acosh),
    math("asin", f64::asin),
    math("asinh", f64::asinh),
    math("atan", f64::atan),
    math("atanh", f64::atanh),
    math("ceil", f64::ceil),
    math("cos", f64::cos),
    math("cosh", f64::cosh),
    math("deg", |v| v * 180.0 / std::f64::consts::PI),
    math("exp", f64::exp),
    math("floor", f64::floor),
    math("ln", f64::ln),
    math("log10", f64::log10),
    math("log2", f64::log2),
    math("rad", |v| v * std::f64::consts::PI / 180.0),
    math("sgn", eval::sgn),
    math("sin", f64::sin),
    math("sinh", f64::sinh),
    math("sqrt", f64::sqrt),
    math("tan", f64::tan),
    math("tanh", f64::tanh),
    other("clamp", &[V, S, S], V, eval::clamp),
    other("clamp_max", &[V, S], V, eval::clamp_max),
    other("clamp_min", &[V, S], V, eval::clamp_min),
    other("round", &[V, S], V, eval::round).variadic(1),
    other("max_of", &[S, S], S, eval::max_of).experimental(),
    other("min_of", &[S, S], S, eval::min_of).experimental(),
    // Time.
    calendar("day_of_month", |t| t.day),
    calendar("day_of_week", |t| t.weekday),
    calendar("day_of_year", |t| t.day_of_year),
    calendar("days_in_month", |t| t.days_in_month),
    calendar("hour", |t| t.hour),
    calendar("minute", |t| t.minute),
    calendar("month", |t| t.month),
    calendar("year", |t| t.year),
    other("time", &[], S, eval::time).asks_time(),
    other("timestamp", &[V], V, eval::timestamp).asks_time(),
    other("start_timestamp", &[V], V, eval::start_timestamp).asks_time().experimental(),
    other("start", &[], S, eval::query_start).experimental(),
    other("end", &[], S, eval::query_end).experimental(),
    other("step", &[], S, eval::query_step).experimental(),
    other("range", &[], S, eval::query_range).experimental(),
    // Between types, presence, order, labels.
    other("absent", &[V], V, eval::absent),
    other("absent_over_time", &[M], V, eval::absent_over_time),
    other("pi", &[], S, eval::pi),
    other("scalar", &[V], S, eval::scalar),
    other("vector", &[S], V, eval::vector),
    other("sort", &[V], V, eval::sort),
    other("sort_desc", &[V], V, eval::sort_desc),
    other("sort_by_label", &[V, T], V, eval::sort_by_label).variadic(-1).experimental(),
    other("sort_by_label_desc", &[V, T], V, eval::sort_by_label_desc).variadic(-1).experimental(),
    other("info", &[V, V], V, eval::info).variadic(1).experimental().asks_time(),
    other("label_join", &[V, T, T, T], V, eval::label_join).variadic(-1),
    other("label_replace", &[V, T, T, T, T], V, eval::label_replace),
    // Windows: change.
    window("changes", &[M], eval::changes).native(native::count_changes),
    window("delta", &[M], eval::delta).of_windows(kept::delta).native(native::delta),
    window("deriv", &[M], eval::deriv),
    window("double_exponential_smoothing", &[M, S, S], eval::double_exponential_smoothing).checked(eval::smoothing_factors).experimental(),
    window("idelta", &[M], eval::idelta).native(native::idelta),
    window("increase", &[M], eval::increase).of_windows(kept::increase_of).native(native::increase).of_counters(),
    window("irate", &[M], eval::irate).native(native::irate),
    window("predict_linear", &[M, S], eval::predict_linear).asks_time(),
    window("rate", &[M], eval::rate).of_windows(kept::rate).native(native::rate).of_counters(),
    window("resets", &[M], eval::resets).native(native::count_resets),
    // Windows: aggregation over time.
    window("avg_over_time", &[M], eval::avg_over_time).of_windows(kept::avg).native(native::mean),
    window("count_over_time", &[M], eval::count_over_time).of_windows(kept::count).native(native::either),
    window("first_over_time", &[M], eval::first_over_time).of_windows(kept::first).native(native::first).keeps_name().experimental(),
    window("last_over_time", &[M], eval::last_over_time).of_windows(kept::last).native(native::last).keeps_name(),
    window("mad_over_time", &[M], eval::mad_over_time).experimental(),
    window("max_over_time", &[M], eval::max_over_time).of_windows(kept::max),
    window("min_over_time", &[M], eval::min_over_time).of_windows(kept::min),
    window("present_over_time", &[M], |_| Some(1.0)).of_windows(kept::present).native(native::either),
    window("quantile_over_time", &[S, M], eval::quantile_over_time).checked(eval::quantile_parameter),
    window("stddev_over_time", &[M], eval::stddev_over_time),
    window("stdvar_over_time", &[M], eval::stdvar_over_time),
    window("sum_over_time", &[M], eval::sum_over_time).of_windows(kept::sum).native(native::sum),
    window("ts_of_first_over_time", &[M], eval::ts_of_first_over_time).of_windows(kept::first_time).native(native::either).experimental(),
    window("ts_of_last_over_time", &[M], eval::ts_of_last_over_time).of_windows(kept::last_time).native(native::either).experimental(),
    window("ts_of_max_over_time", &[M], eval::ts_of_max_over_time).experimental(),
    window("ts_of_min_over_time", &[M], eval::ts_of_min_over_time).experimental(),
    // Histograms.
    other("histogram_avg", &[V], V, native::histogram_avg),
    other("histogram_count", &[V], V, native::histogram_count),
    other("histogram_fraction", &[S, S, V], V, eval::histogram_fraction),
    other("histogram_quantile", &[S, V], V, eval::histogram_quantile),
    other("histogram_quantiles", &[V, T, S, S], V, eval::histogram_quantiles).variadic(9).experimental(),
    other("histogram_stddev", &[V], V, native::histogram_stddev),
    other("histogram_stdvar", &[V], V, native::histogram_stdvar),
    other("histogram_sum", &[V], V, native::histogram_sum),
];

/// All functions, grouped by what they do.
pub fn functions() -> &'static [Function] {
    FUNCTIONS
}

/// The function of a name; case matters, as in Prometheus.
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

/// The argument of a call that must be a text literal; the check has made sure of the type.
pub(super) fn text_argument(call: &Call, i: usize) -> &str {
    match call.args.get(i).map(Node::unwrapped) {
        Some(Node { kind: super::ast::NodeKind::String(text), .. }) => text,
        _ => "",
    }
}
