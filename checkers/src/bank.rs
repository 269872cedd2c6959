//! The bank: transfers move money between accounts, so every consistent view of all of them has the same total.
//!
//! The caller passes the reads that saw all accounts. Money that appears or vanishes betrays read skew and lost
//! updates; a negative balance betrays a transfer that acted on an outdated balance. The total says nothing about
//! recency, and one wrong read may hide another: it is a cheap witness beside the `snapshot` checker.

use crate::{Verdict, Violation};

/// The accounts as one acknowledged transaction saw them: its id, and the balance by account.
pub type View = (u64, Vec<(u64, i64)>);

/// Checks that the balances of every view sum to `total`, none is negative and no account is there twice.
pub fn check(views: &[View], total: i64) -> Verdict {
    for (id, balances) in views {
        let fail = |anomaly: &str, message: String| {
            let evidence = balances.iter().map(|(account, balance)| format!("account {account}: {balance}")).collect();
            Verdict::Fail(Violation { checker: "bank", anomaly: anomaly.into(), message, evidence, at: None })
        };
        let mut accounts: Vec<u64> = balances.iter().map(|(account, _)| *account).collect();
        accounts.sort_unstable();
        if let Some([account, _]) = accounts.array_windows().find(|[one, other]| one == other) {
            return fail("duplicate-account", format!("T{id} saw account {account} twice"));
        }
        if let Some((account, balance)) = balances.iter().find(|(_, balance)| *balance < 0) {
            return fail("negative-balance", format!("T{id} saw {balance} in account {account}"));
        }
        let sum: i128 = balances.iter().map(|(_, balance)| i128::from(*balance)).sum();
        if sum != i128::from(total) {
            return fail("wrong-total", format!("T{id} saw a total of {sum} instead of {total}"));
        }
    }
    Verdict::Pass { comparisons: views.iter().map(|(_, balances)| balances.len() as u64 + 1).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn illegal(balances: &[(u64, i64)], anomaly: &str) {
        let verdict = check(&[(1, vec![(1, 10)]), (2, balances.to_vec())], 10);
        assert_eq!(verdict.violation().map(|violation| violation.anomaly.as_str()), Some(anomaly), "{verdict:?}");
    }

    #[test]
    fn views_have_the_total_and_no_debts() {
        let views = [(1, vec![(1, 10), (2, 0)]), (2, vec![(1, 3), (2, 7)])];
        assert_eq!(check(&views, 10), Verdict::Pass { comparisons: 6 });
        illegal(&[(1, 3), (2, 8)], "wrong-total");
        illegal(&[], "wrong-total");
        illegal(&[(1, 11), (2, -1)], "negative-balance");
        illegal(&[(1, 5), (1, 5)], "duplicate-account");
        illegal(&[(1, i64::MAX), (2, i64::MAX)], "wrong-total");
    }

    #[test]
    fn transfers_keep_the_total_and_anything_else_does_not() {
        bolero::check!().with_type::<(Vec<(u8, u8, u8)>, i8)>().with_iterations(1000).for_each(
            |(transfers, stolen)| {
                let (mut balances, mut views) = ([50_i64; 4], Vec::new());
                for (id, &(from, to, amount)) in transfers.iter().enumerate() {
                    let amount = i64::from(amount).min(balances[usize::from(from % 4)]);
                    balances[usize::from(from % 4)] -= amount;
                    balances[usize::from(to % 4)] += amount;
                    views.push((id as u64, (0..).zip(balances).collect()));
                }
                assert!(check(&views, 200).is_pass());
                balances[0] += i64::from(*stolen);
                views.push((u64::MAX, (0..).zip(balances).collect()));
                assert_eq!(check(&views, 200).is_pass(), *stolen == 0);
            },
        );
    }
}
