//! What tokens cost. Money is counted in whole picodollars, so that sums do not depend on the order in which they are made.

use super::settings::{Price, fits};
use super::wire::piece::Usage;

/// A million of them is a microdollar.
const PICO_PER_USD: f64 = 1e12;

/// An amount in picodollars: up to eighteen million dollars, which is enough for one installation's model calls.
pub(super) type Pico = u64;

/// An amount in US dollars.
pub(super) fn usd(pico: Pico) -> f64 {
    pico as f64 / PICO_PER_USD
}

/// The table of prices.
pub(super) struct Prices(Vec<(String, PerToken)>);

/// Picodollars per token, as a dollar per million tokens is a million picodollars per token.
#[derive(Clone, Copy)]
struct PerToken {
    input: Pico,
    cached: Pico,
    output: Pico,
}

impl Prices {
    pub(super) fn new(table: &[Price]) -> Prices {
        let pico = |usd_per_million: f64| (usd_per_million * PICO_PER_USD / 1e6).round() as Pico;
        let line = |p: &Price| (p.model.clone(), PerToken { input: pico(p.input), cached: pico(p.cached.unwrap_or(p.input)), output: pico(p.output) });
        Prices(table.iter().map(line).collect())
    }

    /// What an exchange with a model costs.
    pub(super) fn of(&self, model: &str, usage: Usage) -> Pico {
        let Some((_, price)) = self.0.iter().find(|(pattern, _)| fits(pattern, model)) else { return 0 };
        let fresh = usage.input.saturating_sub(usage.cached).saturating_mul(price.input);
        fresh.saturating_add(usage.cached.saturating_mul(price.cached)).saturating_add(usage.output.saturating_mul(price.output))
    }

    /// The models that are named without a pattern.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(pattern, _)| pattern.as_str()).filter(|p| !p.contains('*'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let price = |model: &str, input, output, cached| Price { model: model.to_owned(), input, output, cached };
        let prices = Prices::new(&[price("gpt-4o", 2.5, 10.0, Some(1.25)), price("gpt-*", 0.15, 0.6, None)]);
        let usage = Usage { input: 1_000_000, cached: 200_000, output: 100_000 };
        assert_eq!(usd(prices.of("gpt-4o", usage)), 2.0 + 0.25 + 1.0);
        assert_eq!(usd(prices.of("gpt-4o-mini", usage)), 0.15 + 0.06);
        assert_eq!(prices.of("llama", usage), 0);
        assert_eq!(prices.of("gpt-4o", Usage { input: u64::MAX, cached: 0, output: u64::MAX }), u64::MAX);
    }
}
