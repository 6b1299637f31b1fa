//! Health questions whose answer is still to come: a pass holds the lock, so a slow answer is left for a later one.
//!
//! Never answers a question about one process with what another one said: whoever takes the port is asked anew.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::host::probes::Question;
use crate::model::id::{Identity, Port};
use crate::model::observed::Answer;

/// One question under way.
#[derive(Debug)]
struct Asked {
    question: Question,
    of: Identity,
    answer: JoinHandle<Answer>,
}

/// At most one for each port.
#[derive(Debug, Default)]
pub(super) struct Outstanding(RefCell<BTreeMap<Port, Asked>>);

impl Outstanding {
    /// The answer, if it is there within `patience` or was there already; a question that is under way is not waited for again.
    pub(super) async fn answer<F: Future<Output = Answer> + Send + 'static>(
        &self,
        question: &Question,
        of: &Identity,
        patience: Duration,
        ask: impl FnOnce() -> F,
    ) -> Option<Answer> {
        let (mut asked, patience) = match self.take(question, of) {
            Some(asked) => (asked, Duration::ZERO),
            None => (Asked { question: question.clone(), of: of.clone(), answer: tokio::spawn(ask()) }, patience),
        };
        let Ok(answer) = tokio::time::timeout(patience, &mut asked.answer).await else {
            self.0.borrow_mut().insert(question.port, asked);
            return None;
        };
        Some(answer.unwrap_or_else(|error| Answer::None { why: error.to_string() }))
    }

    /// The same question about the same process; any other one to that port is given up.
    fn take(&self, question: &Question, of: &Identity) -> Option<Asked> {
        let asked = self.0.borrow_mut().remove(&question.port)?;
        if asked.question == *question && asked.of == *of {
            return Some(asked);
        }
        asked.answer.abort();
        None
    }

    /// Connections of ours that stand open towards a port: a drain must not wait for them.
    pub(super) fn towards(&self, port: Port) -> u32 {
        u32::from(self.0.borrow().get(&port).is_some_and(|asked| !asked.answer.is_finished()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::Scheme;
    use crate::model::id::BootId;
    use tokio::sync::oneshot;

    /// Shorter than any answer below takes.
    const SHORT: Duration = Duration::from_millis(1);

    fn question() -> Question {
        Question {
            scheme: Scheme::Http,
            host: "127.0.0.1".into(),
            port: Port(8081),
            path: "/profile".into(),
            status: 200,
            expect: None,
            timeout: Duration::from_secs(2),
        }
    }

    fn process(pid: u32) -> Identity {
        Identity { boot: BootId::new("boot"), pid, start: 1, cookie: None }
    }

    async fn never() -> Answer {
        std::future::pending().await
    }

    fn said(why: &str) -> Answer {
        Answer::None { why: why.to_owned() }
    }

    #[tokio::test]
    async fn a_slow_answer_is_left_for_a_later_call_and_asked_for_once() {
        let (outstanding, (send, answer)) = (Outstanding::default(), oneshot::channel::<()>());
        let slow = || async move { answer.await.map_or(said("dropped"), |()| Answer::Good) };
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, slow).await, None);
        assert_eq!(outstanding.towards(Port(8081)), 1);
        send.send(()).unwrap();
        while outstanding.towards(Port(8081)) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, never).await, Some(Answer::Good));
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, never).await, None, "an answer counts once");
    }

    #[tokio::test]
    async fn what_one_process_said_is_not_taken_for_the_next_one() {
        let outstanding = Outstanding::default();
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, never).await, None);
        let anew = || async { said("the second one") };
        assert_eq!(outstanding.answer(&question(), &process(2), SHORT, anew).await, Some(said("the second one")));
        assert_eq!(outstanding.answer(&question(), &process(2), SHORT, never).await, None);
        let other = Question { path: "/health".into(), ..question() };
        let anew = || async { said("another question") };
        assert_eq!(outstanding.answer(&other, &process(2), SHORT, anew).await, Some(said("another question")));
    }
}
