//! Health questions whose answer is still to come: a pass holds the lock, so a slow answer is left for a later one.
//!
//! Never answers a question about one process with what another one said: whoever takes the port is asked anew.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::adapter::direct::Own;
use crate::host::probes::Question;
use crate::model::id::{Identity, Port};
use crate::model::observed::{Answer, Connection};

/// One question under way.
#[derive(Debug)]
struct Asked {
    question: Question,
    of: Identity,
    answer: JoinHandle<Answer>,
    /// Our end of its connection.
    own: Own,
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
        ask: impl FnOnce(Own) -> F,
    ) -> Option<Answer> {
        let (mut asked, patience) = if let Some(asked) = self.take(question, of) {
            (asked, Duration::ZERO)
        } else {
            let own = Own::default();
            let answer = tokio::spawn(ask(Own::clone(&own)));
            (Asked { question: question.clone(), of: of.clone(), answer, own }, patience)
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

    /// These connections towards a port but for our own: a drain must not wait for it.
    pub(super) fn without(&self, port: Port, mut open: Vec<Connection>) -> Vec<Connection> {
        let asked = self.0.borrow();
        let own = asked.get(&port).and_then(|asked| asked.own.get());
        open.retain(|connection| own.is_none_or(|own| connection.peer != *own));
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::Scheme;
    use crate::model::id::BootId;
    use std::net::SocketAddr;
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

    async fn never(_own: Own) -> Answer {
        std::future::pending().await
    }

    fn said(why: &str) -> Answer {
        Answer::None { why: why.to_owned() }
    }

    #[tokio::test]
    async fn a_slow_answer_is_left_for_a_later_call_and_asked_for_once() {
        let (outstanding, (send, answer)) = (Outstanding::default(), oneshot::channel::<()>());
        let (asked, done) = oneshot::channel::<()>();
        let slow = |_own| async move {
            answer.await.unwrap();
            asked.send(()).unwrap();
            Answer::Good
        };
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, slow).await, None);
        send.send(()).unwrap();
        done.await.unwrap();
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, never).await, Some(Answer::Good));
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, never).await, None, "an answer counts once");
    }

    #[tokio::test]
    async fn what_one_process_said_is_not_taken_for_the_next_one() {
        let outstanding = Outstanding::default();
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, never).await, None);
        let anew = |_own| async { said("the second one") };
        assert_eq!(outstanding.answer(&question(), &process(2), SHORT, anew).await, Some(said("the second one")));
        assert_eq!(outstanding.answer(&question(), &process(2), SHORT, never).await, None);
        let other = Question { path: "/health".into(), ..question() };
        let anew = |_own| async { said("another question") };
        assert_eq!(outstanding.answer(&other, &process(2), SHORT, anew).await, Some(said("another question")));
    }

    #[tokio::test]
    async fn our_own_question_is_no_connection_of_the_slot() {
        let outstanding = Outstanding::default();
        let end = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let connection = |port| Connection { peer: end(port), age: SHORT, silent: None, worker: None };
        let both = || vec![connection(50_001), connection(50_002)];
        let slow = |own: Own| {
            own.set(end(50_002)).unwrap();
            std::future::pending()
        };
        assert_eq!(outstanding.answer(&question(), &process(1), SHORT, slow).await, None);
        assert_eq!(outstanding.without(Port(8081), both()), vec![connection(50_001)]);
        assert_eq!(outstanding.without(Port(8082), both()), both(), "that one is asked nothing");
    }
}
