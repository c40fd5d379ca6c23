//! From the upstream's answer to what may leave of it: as a whole, or where it is a list of records and
//! large, part by part.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::Semaphore;

use crate::filter::{Filter, Format, Reduction, Tally, Verdict};
use crate::model::Admission;
use crate::rules::Route;
use crate::transport::Turn;

use super::Refusal;
use super::admitted::{Admitted, Decided};
use super::authorize::Permit;
use super::forward::{UpstreamBody, UpstreamResponse};
use super::memory::Share;
use super::refusal::Missing;
use super::sample::{Sample, Sampler};

/// A part is released when it has so many bytes.
const PART: usize = 128 << 10;

/// Bytes of a body after which others have their turn: less than a tenth of a millisecond's work, as each request may
/// have to wait for one such piece more than once on its way.
const TURN: usize = 32 << 10;

/// A body that is announced with no more bytes needs no turn.
const SMALL: u64 = 128 << 10;

/// So many bytes of a body that is not announced need none; of bodies that need none, so many are worked on at once.
const FREE: usize = 64 << 10;

/// Of these any other body needs one for each piece, so that large bodies wait for each other and not in front of
/// everybody else: as many are in work as there are cores.
static TURNS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// Reductions that a thread keeps for requests to come, and how much memory each may hold.
const KEPT: usize = 16;
const KEPT_BYTES: usize = 1 << 20;

/// A reduced answer, or a part of it, that nobody has seen yet. Only [`reduce`] and [`Rest::next`] make one.
pub struct Disclosure {
    pub status: StatusCode,
    pub format: Format,
    content: Content,
    /// By which generation of the consent registry its records were let through; `None` where it was not asked.
    pub decided: Option<u64>,
    /// `None`: it is the whole answer.
    pub part: Option<PartNumber>,
    /// What follows this part.
    pub rest: Option<Rest>,
    /// What the upstream sent for it, where that is to be looked at.
    pub sample: Option<Box<Sample>>,
    /// Held where the body was large: its entry is made in the same turn.
    pub turn: Turn<'static>,
}

enum Content {
    /// 204.
    None,
    /// An empty object for an empty answer.
    Empty,
    Reduced(Leased),
}

/// Parts are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartNumber {
    pub number: u64,
    pub last: bool,
}

/// What is still to come of an answer that is released in parts.
pub struct Rest {
    status: StatusCode,
    format: Format,
    body: UpstreamBody,
    parts: u64,
    decided: Decided,
    /// Of the first part.
    sample: Option<Box<Sample>>,
}

impl Disclosure {
    pub fn tally(&self) -> Option<&Tally> {
        match &self.content {
            Content::None | Content::Empty => None,
            Content::Reduced(reduction) => Some(reduction.tally()),
        }
    }

    /// `None` for 204.
    pub fn body(&self) -> Option<&[u8]> {
        match &self.content {
            Content::None => None,
            Content::Empty => Some(b"{}"),
            Content::Reduced(reduction) => Some(reduction.body()),
        }
    }

    /// The body for the response, as [`body`](Self::body) has it.
    pub fn copy(&mut self) -> Option<Bytes> {
        match &mut self.content {
            Content::None => None,
            Content::Empty => Some(Bytes::from_static(b"{}")),
            Content::Reduced(reduction) => Some(reduction.copy()),
        }
    }

    /// The reduction that goes on behind this part.
    pub fn into_rest(self) -> Option<(Rest, Leased)> {
        match (self.rest, self.content) {
            (Some(rest), Content::Reduced(reduction)) => Some((rest, reduction)),
            _ => None,
        }
    }
}

/// Reduces an answer as far as it must be before anything of it can leave.
///
/// # Errors
/// Where the answer is not one that the rule can be applied to, its condition does not hold, or there is no
/// memory for it.
pub async fn reduce(
    permit: &Permit,
    response: UpstreamResponse,
    admitted: Admitted,
    share: Share,
    sampler: &Sampler,
) -> Result<Disclosure, Refusal> {
    let UpstreamResponse { status, format, body } = response;
    match status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => {}
        // Without a body nobody can say that the condition holds.
        StatusCode::NO_CONTENT if permit.route().filter.has_condition() => {
            return Err(Refusal::NotFound(Missing::Condition));
        }
        StatusCode::NO_CONTENT => {
            return Ok(Disclosure {
                status,
                format,
                content: Content::None,
                decided: admitted.decided.generation(),
                part: None,
                rest: None,
                sample: None,
                turn: Turn::offering_core(&TURNS),
            });
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refusal::NotFound(Missing::Upstream)),
        other => return Err(Refusal::UpstreamError(other.as_u16())),
    }
    let Admitted { admission, decided } = admitted;
    let reduction = Leased::take(&permit.route().filter, format, admission, share);
    let sample = match format {
        Format::Json => sampler.begin(permit, body.announced()),
        Format::Lines => None,
    };
    Rest { status, format, body, parts: 0, decided, sample }.next(permit.route(), reduction).await
}

impl Rest {
    /// Parts that were made so far.
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// The next part.
    ///
    /// # Errors
    /// Where the answer turns out not to be one that the rule can be applied to, or there is no memory for it.
    pub async fn next(mut self, route: &Route, mut reduction: Leased) -> Result<Disclosure, Refusal> {
        let filter = &route.filter;
        let decided = self.decided.turn().generation();
        let in_parts = self.format == Format::Lines || filter.streams();
        let max_body = self.body.max_body();
        // What is announced to be too large need not be read.
        if !in_parts && self.body.announced() > max_body as u64 {
            return Err(Refusal::UpstreamTooLarge);
        }
        let announced = self.body.announced();
        let large = self.parts > 0 || announced > SMALL;
        // That a small one is at its end is learned without a turn too.
        let free = match (large, announced) {
            (true, _) => 0,
            (false, 0) => FREE,
            (false, 1..) => usize::MAX,
        };
        let (mut taken, mut turn, mut given_way) = (0, Turn::offering_core(&TURNS), 0);
        loop {
            if self.parts > 0 {
                self.body.wait_anew();
            }
            let needs_turn = taken >= free;
            let more = if needs_turn {
                turn.take().await;
                self.body.wait_longer(turn.waited());
                let more = turn.work(self.body.wait()).await?;
                self.body.wait_longer(turn.waited());
                more
            } else {
                self.body.wait().await?
            };
            if !more {
                return self.last(route, reduction, taken, decided, turn);
            }
            let most = if needs_turn { TURN } else { FREE };
            self.body.hand_on(most, &mut |bytes: &[u8]| {
                taken += bytes.len();
                if !in_parts && taken > max_body {
                    return Err(Refusal::UpstreamTooLarge);
                }
                reduction.feed(filter, bytes)?;
                if let Some(sample) = &mut self.sample {
                    sample.feed(bytes);
                }
                // In parts, it is the one record in work that must not be larger.
                if in_parts && reduction.held() - reduction.settled() > max_body.max(2 * PART) {
                    return Err(Refusal::UpstreamTooLarge);
                }
                Ok(())
            })?;
            reduction.holds_beside(self.body.held())?;
            if in_parts && reduction.settled() >= PART {
                reduction.cut()?;
                self.parts += 1;
                let part = Some(PartNumber { number: self.parts, last: false });
                let (status, format) = (self.status, self.format);
                let content = Content::Reduced(reduction);
                let sample = self.sample.take();
                return Ok(Disclosure {
                    status,
                    format,
                    content,
                    decided,
                    part,
                    rest: Some(self),
                    sample,
                    turn,
                });
            }
            if taken - given_way >= most {
                given_way = taken;
                if needs_turn {
                    turn.pass_on().await;
                } else {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn last(
        self,
        route: &Route,
        mut reduction: Leased,
        taken: usize,
        decided: Option<u64>,
        turn: Turn<'static>,
    ) -> Result<Disclosure, Refusal> {
        let Rest { status, format, parts, sample, .. } = self;
        let part = (parts > 0).then_some(PartNumber { number: parts + 1, last: true });
        // A write that answers nothing, on a route that discloses nothing.
        let nothing = taken == 0 && parts == 0 && route.fields.is_empty() && !route.filter.has_condition();
        let content = if nothing {
            Content::Empty
        } else {
            match reduction.finish(&route.filter)? {
                Verdict::Reduced => Content::Reduced(reduction),
                Verdict::Withheld => return Err(Refusal::NotFound(missing(reduction.tally()))),
            }
        };
        Ok(Disclosure { status, format, content, decided, part, rest: None, sample, turn })
    }
}

/// Why the one record does not leave.
fn missing(tally: &Tally) -> Missing {
    if tally.not_admitted > 0 { Missing::Admission } else { Missing::Condition }
}

/// A reduction out of the thread's own, to which it goes back: what it has allocated serves the next one. As
/// long as a request has it, that counts as the request's memory.
pub struct Leased {
    reduction: Option<Box<Reduction>>,
    share: Share,
    /// Bytes that are held beside it.
    beside: usize,
}

const THERE: &str = "a reduction is there until it is dropped";

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Vec::new()) };
}

#[allow(clippy::vec_box, reason = "they come and go one by one, and stay where they are")]
type Pool = Vec<Box<Reduction>>;

impl Leased {
    fn take(
        filter: &Filter,
        format: Format,
        admission: Option<Arc<dyn Admission>>,
        mut share: Share,
    ) -> Self {
        let known = POOL.with_borrow_mut(Vec::pop);
        // Where memory is short, what an earlier body has left may be too much for this one.
        let known = known.filter(|reduction| share.hold(reduction.capacity()).is_ok());
        let mut reduction = known.unwrap_or_default();
        reduction.begin_for(filter, format, admission);
        Leased { reduction: Some(reduction), share, beside: 0 }
    }

    fn feed(&mut self, filter: &Filter, bytes: &[u8]) -> Result<(), Refusal> {
        self.share.hold(self.capacity_with(bytes.len()) + self.beside)?;
        self.inner().feed(filter, bytes)?;
        self.share.hold(self.capacity() + self.beside)
    }

    fn finish(&mut self, filter: &Filter) -> Result<Verdict, Refusal> {
        let verdict = self.inner().finish(filter)?;
        self.make_room_for_copy()?;
        Ok(verdict)
    }

    fn cut(&mut self) -> Result<(), Refusal> {
        self.inner().cut();
        self.make_room_for_copy()
    }

    fn holds_beside(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.beside = bytes;
        self.share.hold(self.capacity() + bytes)
    }

    /// Before the entry is written: a disclosure that is recorded leaves.
    fn make_room_for_copy(&mut self) -> Result<(), Refusal> {
        self.share.hold(self.capacity() + self.beside + self.body().len())
    }

    fn copy(&mut self) -> Bytes {
        let body = self.body().to_vec();
        self.share.part_with(body)
    }

    fn inner(&mut self) -> &mut Reduction {
        self.reduction.as_deref_mut().expect(THERE)
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let Some(mut reduction) = self.reduction.take() else { return };
        reduction.clear();
        if reduction.capacity() <= KEPT_BYTES {
            // A thread that ends has no pool any more.
            let _ = POOL.try_with(|pool| {
                let mut pool = pool.borrow_mut();
                if pool.len() < KEPT {
                    pool.push(reduction);
                }
            });
        }
    }
}

impl Deref for Leased {
    type Target = Reduction;

    fn deref(&self) -> &Reduction {
        self.reduction.as_deref().expect(THERE)
    }
}
