// What PromQL's words mean: functions with what they take, aggregations, keywords, each in one line. Not their computing; a test holds the
// names to those that the server knows.
import { type Phrase, t } from "../../words/t";

export interface Fn {
  name: string;
  /** "value, range" as the reader sees them. */
  takes: string;
  words: string;
  kind: "function" | "aggregation" | "keyword";
}

const TAKES: Record<string, string> = { v: t("series"), r: t("series[range]"), n: t("number"), t: t("text"), "?": "…" };

/** A line each: name, what it takes (v series, r ranges of them, n number, t text, ? more of the last), what it gives. */
const FUNCTIONS = `abs v values without their sign
absent v 1 where no series is found
absent_over_time r 1 where no series has a sample in the range
acos v arc cosine
acosh v inverse hyperbolic cosine
asin v arc sine
asinh v inverse hyperbolic sine
atan v arc tangent
atanh v inverse hyperbolic tangent
avg_over_time r mean of the samples in the range
ceil v rounded up
changes r how often the value changed in the range
clamp vnn values held between two bounds
clamp_max vn values held below a bound
clamp_min vn values held above a bound
cos v cosine
cosh v hyperbolic cosine
count_over_time r number of samples in the range
day_of_month v? day of the month of times
day_of_week v? day of the week of times, 0 is Sunday
day_of_year v? day of the year of times
days_in_month v? days of the month of times
deg v degrees of radians
delta r last less first value of the range, for gauges
deriv r slope per second of a line through the range, for gauges
double_exponential_smoothing rnn smoothed value with a trend
end  end of the query's range
exp v e to the power of values
first_over_time r oldest sample in the range
floor v rounded down
histogram_avg v mean of native histograms
histogram_count v count of native histograms
histogram_fraction nnv share of observations between two bounds
histogram_quantile nv value below which a share of the observations lies
histogram_quantiles vtn? several quantiles, with a label each
histogram_stddev v standard deviation of native histograms
histogram_stdvar v variance of native histograms
histogram_sum v sum of native histograms
hour v? hour of times
idelta r last less second to last value, for gauges
increase r how much a counter grew in the range
info vv? series with the labels of their info metrics
irate r growth per second of a counter between its last two samples
label_join vttt? series with a label joined of others
label_replace vtttt series with a label made by a pattern
last_over_time r newest sample in the range
ln v natural logarithm
log10 v logarithm of base 10
log2 v logarithm of base 2
mad_over_time r median deviation from the median in the range
max_of nn the larger number
max_over_time r largest sample in the range
min_of nn the smaller number
min_over_time r smallest sample in the range
minute v? minute of times
month v? month of times
pi  the number pi
predict_linear rn value so many seconds from now on the line through the range
present_over_time r 1 for each series with a sample in the range
quantile_over_time nr quantile of the samples in the range
rad v radians of degrees
range  length of the query's range
rate r growth per second of a counter over the range
resets r how often a counter began anew in the range
round vn? rounded to a multiple
scalar v a single series as a number
sgn v sign of values
sin v sine
sinh v hyperbolic sine
sort v by value, ascending
sort_by_label vt? by labels, ascending
sort_by_label_desc vt? by labels, descending
sort_desc v by value, descending
sqrt v square root
start  beginning of the query's range
start_timestamp v when each series began to count
stddev_over_time r standard deviation in the range
stdvar_over_time r variance in the range
step  step of the query
sum_over_time r sum of the samples in the range
tan v tangent
tanh v hyperbolic tangent
time  seconds since 1970 of the evaluation
timestamp v time of each sample
ts_of_first_over_time r time of the oldest sample in the range
ts_of_last_over_time r time of the newest sample in the range
ts_of_max_over_time r time of the largest sample in the range
ts_of_min_over_time r time of the smallest sample in the range
vector n a number as a series without labels
year v? year of times`;

const AGGREGATIONS = `sum v sum
avg v mean
min v smallest
max v largest
count v number of series
group v 1 for each group
stddev v standard deviation
stdvar v variance
topk nv series with the largest values
bottomk nv series with the smallest values
quantile nv quantile over series
count_values tv number of series with each value
limitk nv some series
limit_ratio nv a share of the series`;

const KEYWORDS = `by  keeps these labels
without  drops these labels
and  series that both sides have
or  series of the left, and those only of the right
unless  series that the right has not
on  matched by these labels
ignoring  matched by all labels but these
group_left  many on the left for one on the right
group_right  one on the left for many on the right
bool  1 or 0 in place of a filter
offset  as it was so long ago
atan2  arc tangent of two values`;

function read(text: string, kind: Fn["kind"]): Fn[] {
  return text.split("\n").map((line) => {
    const [, name = "", letters = "", words = ""] = /^(\S+) (\S*) (.*)$/.exec(line) ?? [];
    return { name, takes: [...letters].map((it) => TAKES[it]).join(", "), words: t(words as Phrase), kind };
  });
}

export const WORDS: readonly Fn[] = [...read(FUNCTIONS, "function"), ...read(AGGREGATIONS, "aggregation"), ...read(KEYWORDS, "keyword")];
const byName = new Map(WORDS.map((it) => [it.name, it]));

export function wordOf(name: string): Fn | undefined {
  return byName.get(name.toLowerCase());
}

/** How it is called, and what it gives. */
export function signature({ name, takes, words, kind }: Fn): string {
  return kind === "keyword" ? words : `${name}(${takes}): ${words}`;
}
