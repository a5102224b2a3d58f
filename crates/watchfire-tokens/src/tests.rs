//! The documented behaviours of the token counter, one function each. What needs HTTP or settings is tested there.

use std::sync::{Arc, Mutex};

use watchfire_model::observe::Observe;

use crate::{Budget, BudgetError, Counter, Encoding, PROFILES, Profile, TokenCounter};

/// Family, labels and value.
type Observation = (String, Vec<(String, String)>, f64);

/// Keeps what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<Observation>>);
impl Observe for Told {
    fn observe(&self, family: &str, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.0.lock().expect("nobody panics").push((family.to_owned(), labels, value));
    }
}
impl Told {
    fn values(&self, family: &str) -> Vec<f64> {
        self.0.lock().expect("nobody panics").iter().filter(|(name, ..)| name == family).map(|(.., value)| *value).collect()
    }
}

/// A counter whose window leaves so many tokens for a prompt.
fn counter(available: usize) -> (TokenCounter, Arc<Told>) {
    let told = Arc::new(Told::default());
    let budget = Budget::new(available + 10, 10, 0.8).expect("a budget");
    (TokenCounter::new(Counter::new(Encoding::Cl100kBase), budget, true, told.clone()), told)
}

/// A prompt of so many tokens.
fn words(count: usize) -> String {
    " word".repeat(count)
}

#[test]
fn tok_02_a_prompt_is_checked_before_it_goes_out() {
    let (counter, _) = counter(100);
    let prepared = counter.prepare(&words(120));
    assert!(!prepared.validation.is_valid);
    let truncation = prepared.truncation.expect("it was too long");
    assert!(truncation.fits && truncation.final_tokens <= 100);
    assert_eq!(counter.prepare(&words(100)).truncation, None);
}

#[test]
fn tok_03_is_valid_is_false_when_the_prompt_does_not_fit() {
    let (counter, _) = counter(100);
    assert!(counter.validate(&words(100)).is_valid);
    let too_long = counter.validate(&words(101));
    assert!(!too_long.is_valid);
    assert_eq!(too_long.error().as_deref(), Some("the prompt has 101 tokens, and 100 are available"));
}

#[test]
fn tok_04_every_checked_prompt_is_told() {
    let (counter, told) = counter(100);
    for tokens in [0, 25, 100, 250] {
        counter.validate(&words(tokens));
    }
    assert_eq!(told.values("hsi_llm_context_utilization"), [0.0, 0.25, 1.0, 2.5]);
    assert_eq!(told.values("hsi_prompt_tokens"), [0.0, 25.0, 100.0, 250.0]);
}

#[test]
fn tok_05_the_budget_is_the_window_without_the_reserve() {
    let available = |window, reserve| Budget::new(window, reserve, 0.8).map(|b| b.available_for_prompt());
    assert_eq!(available(131_072, 1_536), Ok(129_536));
    assert_eq!(available(4_096, 1_536), Ok(2_560));
    assert_eq!(available(1_536, 1_536), Err(BudgetError::NoRoom { window: 1_536, reserve: 1_536 }));
    assert_eq!(Budget::new(10, 1, 1.5), Err(BudgetError::Threshold(1.5)));
}

#[test]
fn tok_06_the_budget_tells_its_parts() {
    let budget = Budget::new(3_900, 1_536, 0.8).expect("a budget");
    assert_eq!((budget.context_window(), budget.max_output_tokens(), budget.available_for_prompt()), (3_900, 1_536, 2_364));
}

#[test]
fn tok_07_the_defaults_are_those_of_the_production_model() {
    let budget = Budget::default();
    assert_eq!((budget.context_window(), budget.max_output_tokens(), budget.warning_threshold()), (131_072, 1_536, 0.80));
}

#[test]
fn tok_08_above_the_threshold_is_counted_and_the_prompt_goes_on() {
    let (counter, told) = counter(100);
    let prepared = counter.prepare(&words(81));
    assert!(prepared.validation.is_valid && prepared.validation.is_high);
    assert_eq!(prepared.truncation, None);
    assert_eq!(told.values("hsi_prompts_high_utilization_total"), [1.0]);
}

#[test]
fn tok_09_at_the_threshold_nobody_is_warned() {
    let (counter, told) = counter(100);
    let validation = counter.validate(&words(80));
    assert!(!validation.is_high && validation.warning().is_none());
    assert!(told.values("hsi_prompts_high_utilization_total").is_empty());
}

#[test]
fn tok_10_the_warning_has_the_words_context_utilization() {
    let (counter, _) = counter(100);
    let warning = counter.validate(&words(90)).warning().expect("a warning");
    assert_eq!(warning, "high context utilization: 90.0 % (90 of 100 tokens)");
}

#[test]
fn tok_11_truncation_can_be_turned_off() {
    let told = Arc::new(Told::default());
    let counter = TokenCounter::new(Counter::new(Encoding::Cl100kBase), Budget::new(20, 10, 0.8).expect("a budget"), false, told.clone());
    let prepared = counter.prepare(&words(50));
    assert!(!prepared.validation.is_valid);
    assert_eq!(prepared.truncation, None);
    assert!(told.values("hsi_prompts_truncated_total").is_empty());
}

#[test]
fn tok_14_truncation_gives_the_prompt_and_the_names_in_order() {
    let (counter, _) = counter(2_364);
    let prompt = format!("## Weather Context\n{}\n## Depth Context\n{}\n## Camera\nfront\n", words(30), words(30));
    let truncated = counter.truncate(&prompt, Some(12));
    assert_eq!(truncated.sections_removed, ["depth_context", "weather_context"]);
    assert_eq!(truncated.text, "## Camera\nfront\n");
    let unchanged = counter.truncate(&prompt, None);
    assert_eq!((unchanged.was_truncated(), unchanged.text), (false, prompt));
}

#[test]
fn tok_15_truncations_are_counted_and_so_are_the_sections() {
    let (counter, told) = counter(40);
    let prompt = format!("## Depth Context\n{}\n## Camera\nfront\n", words(50));
    counter.truncate(&prompt, None);
    counter.truncate("short", None);
    assert_eq!(told.values("hsi_prompts_truncated_total"), [1.0]);
    let all = told.0.lock().expect("nobody panics");
    let section = all.iter().find(|(name, ..)| name == "hsi_prompt_truncated_total").expect("the section is told");
    assert_eq!(section.1, [("section_name".to_owned(), "depth_context".to_owned())]);
}

#[test]
fn tok_16_one_counter_is_shared_by_all_operations_and_threads() {
    let (counter, told) = counter(100);
    let counter = Arc::new(counter);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|n| assert_eq!(counter.validate(&words(n)).tokens, counter.count(&words(n)))));
        }
    });
    assert_eq!(told.values("hsi_llm_context_utilization").len(), 400);
    assert_eq!(counter.budget().available_for_prompt(), 100);
}

#[test]
fn tok_17_a_ratio_above_one_is_told_as_it_is() {
    let (counter, told) = counter(10);
    assert!(!counter.validate(&words(35)).is_valid);
    assert_eq!(told.values("hsi_llm_context_utilization"), [3.5]);
}

#[test]
fn tok_19_the_profiles_are_the_documented_ones() {
    let profile = |name| Profile::named(name).map(|p| (p.model, p.context_window, p.gpu_memory_gb));
    assert_eq!(profile("production"), Some(("Nemotron-3-Nano-30B-A3B", 131_072, 14.7)));
    assert_eq!(profile("development"), Some(("Nemotron Mini 4B Instruct", 4_096, 3.0)));
    assert_eq!(PROFILES.len(), 2);
}
