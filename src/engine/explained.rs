//! Plans as trees of JSON objects.

use datafusion::physical_plan::{ExecutionPlan, displayable};
use serde_json::{Map, Value, json};

const NANOS_PER_MILLI: f64 = 1e6;

/// A part of a plan and what it reads from; with `figures` what it did.
pub fn tree(plan: &dyn ExecutionPlan, figures: bool) -> Value {
    let mut node = Map::new();
    node.insert("Node Type".into(), plan.name().into());
    let shown = displayable(plan).one_line().to_string();
    if let Some((_, details)) = shown.trim_end().split_once(": ") {
        node.insert("Details".into(), details.into());
    }
    if let Some(metrics) = plan.metrics().filter(|_| figures) {
        if let Some(rows) = metrics.output_rows() {
            node.insert("Actual Rows".into(), rows.into());
        }
        if let Some(nanos) = metrics.elapsed_compute() {
            node.insert("Actual Total Time".into(), json!(nanos as f64 / NANOS_PER_MILLI));
        }
        node.insert("Actual Loops".into(), 1.into());
    }
    let inputs: Vec<Value> =
        plan.children().into_iter().map(|input| tree(input.as_ref(), figures)).collect();
    if !inputs.is_empty() {
        node.insert("Plans".into(), inputs.into());
    }
    node.into()
}
