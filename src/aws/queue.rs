//! First come, first served within a namespace; round robin over namespaces, so
//! that nobody's thousand objects stand before another's one.

use std::collections::{HashMap, VecDeque};

/// Items by namespace.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    /// Namespaces that have items, the next to be served first.
    turns: VecDeque<String>,
    items: HashMap<String, VecDeque<T>>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), items: HashMap::new() }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn push(&mut self, namespace: &str, item: T) {
        if let Some(items) = self.items.get_mut(namespace) {
            items.push_back(item);
        } else {
            self.turns.push_back(namespace.to_owned());
            self.items.insert(namespace.to_owned(), VecDeque::from([item]));
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let namespace = self.turns.pop_front()?;
        let items = self.items.get_mut(&namespace)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.items.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_small_namespace_does_not_wait_for_all_of_a_large_one() {
        let mut queue = FairQueue::default();
        for item in ["a1", "a2", "a3"] {
            queue.push("a", item);
        }
        queue.push("b", "b1");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a1", "b1", "a2", "a3"]);
        assert!(queue.is_empty());
    }
}
