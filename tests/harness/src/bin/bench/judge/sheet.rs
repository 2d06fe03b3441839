//! Figures of one scenario with their limits, as they come.

use crate::figures::Figure;
use crate::scenario::Scenario;

/// For how many objects the bounds of totals are told.
pub(super) const MANY: usize = 10_000;

/// The smallest of the sizes that are measured.
const FEW: usize = 100;

/// Figures of one scenario as they come.
pub(super) struct Sheet<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) figures: Vec<Figure>,
}

impl<'a> Sheet<'a> {
    pub(super) fn of(scenario: &'a Scenario) -> Self {
        Self { scenario, figures: Vec::new() }
    }

    pub(super) fn add(
        &mut self,
        name: &'static str,
        unit: &'static str,
        value: impl Into<Option<f64>>,
        (floor, bound): (Option<f64>, Option<f64>),
    ) {
        let (scenario, n) = (self.scenario.label(), self.scenario.n);
        self.figures.push(Figure { name, scenario, n, value: value.into(), unit, floor, bound });
    }

    /// The same, of one region of several.
    pub(super) fn add_of(
        &mut self,
        region: &str,
        name: &'static str,
        unit: &'static str,
        value: impl Into<Option<f64>>,
        limits: (Option<f64>, Option<f64>),
    ) {
        self.add(name, unit, value, limits);
        if let Some(figure) = self.figures.last_mut().filter(|_| self.scenario.regions > 1) {
            figure.scenario = format!("{}/{region}", figure.scenario);
        }
    }

    /// A bound that is told for one region.
    pub(super) fn one_region(&self, bound: f64) -> Option<f64> {
        (self.scenario.regions == 1).then_some(bound)
    }

    /// A bound of a ratio to so few calls with [`FEW`] objects that one more would
    /// decide.
    pub(super) fn not_few(&self, bound: f64) -> Option<f64> {
        (self.scenario.n > FEW).then_some(bound)
    }

    /// A bound that is told for [`MANY`] objects and means nothing for few.
    pub(super) fn many(&self, bound: f64) -> Option<f64> {
        (self.scenario.n >= MANY).then_some(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::full;

    #[test]
    fn a_bound_of_one_region_binds_no_more() {
        let scenarios = full();
        for scenario in &scenarios {
            let sheet = Sheet::of(scenario);
            assert_eq!(sheet.one_region(1.0).is_some(), scenario.name != "three-regions");
            assert_eq!(sheet.many(1.0).is_some(), scenario.n == 10_000);
        }
    }
}
