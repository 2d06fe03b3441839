//! Who is served next: what a person waits for before what is done anyway; among
//! each, first come, first served within a namespace and round robin over
//! namespaces, so that nobody's thousand objects stand before another's one.

use std::collections::{HashMap, VecDeque};

/// Items by urgency and namespace.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    urgent: Rounds<T>,
    others: Rounds<T>,
}

/// Items by namespace.
#[derive(Debug)]
struct Rounds<T> {
    /// Namespaces that have items, the next to be served first.
    turns: VecDeque<String>,
    items: HashMap<String, VecDeque<T>>,
    count: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { urgent: Rounds::default(), others: Rounds::default() }
    }
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), items: HashMap::new(), count: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.urgent.turns.is_empty() && self.others.turns.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.urgent.count + self.others.count
    }

    /// Whether a person waits for any of it.
    pub(super) fn is_urgent(&self) -> bool {
        !self.urgent.turns.is_empty()
    }

    /// Whose turn it is.
    pub(super) fn first_namespace(&self) -> Option<&str> {
        self.urgent.turns.front().or(self.others.turns.front()).map(String::as_str)
    }

    pub(super) fn push(&mut self, namespace: &str, urgent: bool, item: T) {
        let rounds = if urgent { &mut self.urgent } else { &mut self.others };
        rounds.push(namespace, item);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.urgent.pop().or_else(|| self.others.pop())
    }
}

impl<T> Rounds<T> {
    fn push(&mut self, namespace: &str, item: T) {
        self.count += 1;
        if let Some(items) = self.items.get_mut(namespace) {
            items.push_back(item);
        } else {
            self.turns.push_back(namespace.to_owned());
            self.items.insert(namespace.to_owned(), VecDeque::from([item]));
        }
    }

    fn pop(&mut self) -> Option<T> {
        let namespace = self.turns.pop_front()?;
        let items = self.items.get_mut(&namespace)?;
        let item = items.pop_front();
        self.count -= 1;
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
            queue.push("a", false, item);
        }
        queue.push("b", false, "b1");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a1", "b1", "a2", "a3"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_a_person_waits_for_goes_first_and_is_shared_fairly_too() {
        let mut queue = FairQueue::default();
        queue.push("a", false, "a1");
        for item in ["a2", "a3"] {
            queue.push("a", true, item);
        }
        queue.push("b", true, "b1");
        assert!(queue.is_urgent());
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a2", "b1", "a3", "a1"]);
        assert!(!queue.is_urgent());
    }
}
