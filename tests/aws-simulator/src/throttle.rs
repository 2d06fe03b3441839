//! Token buckets.

use std::{collections::HashMap, time::Duration};

use crate::{
    config::{Quotas, SesBucket},
    log::Service,
};

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Duration,
}

/// Who pays: account, and for SES region and action.
type Payer = (Service, String, String, String);

/// All buckets of the world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buckets(HashMap<Payer, Bucket>);

impl Buckets {
    /// Takes one token if there is one. `now` is wall time.
    pub(crate) fn take(
        &mut self,
        quotas: &Quotas,
        now: Duration,
        service: Service,
        (account, region, action): (&str, &str, &str),
    ) -> bool {
        let (rate, burst, payer) = match service {
            Service::Sts => return true,
            Service::Route53 => {
                let payer = (service, account.to_owned(), String::new(), String::new());
                (quotas.route53_rate, quotas.route53_burst, payer)
            }
            Service::Ses => {
                let action = match quotas.ses_bucket {
                    SesBucket::PerAction => action,
                    SesBucket::Shared => "",
                };
                let payer = (service, account.to_owned(), region.to_owned(), action.to_owned());
                (quotas.ses_rate, None, payer)
            }
        };
        let rate = rate * quotas.scale;
        if rate <= 0.0 {
            return true;
        }
        let capacity = burst.map_or(1.0 + 0.1 * rate, |burst| burst * quotas.scale);
        let bucket = self.0.entry(payer).or_insert(Bucket { tokens: capacity, filled: now });
        let elapsed = now.saturating_sub(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * rate).min(capacity);
        bucket.filled = now;
        let granted = bucket.tokens >= 1.0;
        if granted {
            bucket.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: (&str, &str, &str) = ("1", "us-east-1", "GetEmailIdentity");

    #[test]
    fn one_request_a_second_and_a_tenth_in_hand() {
        let (mut buckets, quotas) = (Buckets::default(), Quotas::default());
        let mut take =
            |millis| buckets.take(&quotas, Duration::from_millis(millis), Service::Ses, ASKED);
        assert!(take(0));
        assert!(!take(0));
        assert!(!take(850), "0.1 left over and 0.85 come in make less than one");
        assert!(take(950));
    }

    #[test]
    fn ses_buckets_are_per_action_or_shared_by_the_switch() {
        let other = ("1", "us-east-1", "ListEmailIdentities");
        for (ses_bucket, granted) in [(SesBucket::PerAction, true), (SesBucket::Shared, false)] {
            let quotas = Quotas { ses_bucket, ..Quotas::default() };
            let mut buckets = Buckets::default();
            assert!(buckets.take(&quotas, Duration::ZERO, Service::Ses, ASKED));
            assert_eq!(buckets.take(&quotas, Duration::ZERO, Service::Ses, other), granted);
            assert!(buckets.take(
                &quotas,
                Duration::ZERO,
                Service::Ses,
                ("1", "eu-west-1", "GetEmailIdentity")
            ));
        }
    }

    #[test]
    fn a_scale_widens_and_zero_turns_off() {
        let mut buckets = Buckets::default();
        let wide = Quotas::scaled(100.0);
        let granted =
            (0..20).filter(|_| buckets.take(&wide, Duration::ZERO, Service::Ses, ASKED)).count();
        assert_eq!(granted, 11);
        let off = Quotas::off();
        assert!((0..1000).all(|_| buckets.take(&off, Duration::ZERO, Service::Ses, ASKED)));
    }
}
