//! Bodies with a `Content-Encoding` (RFC 9110, section 8.4), decoded within fixed bounds.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// The largest piece that is handed on, in bytes.
const PIECE: usize = 64 << 10;

/// A small body may expand as it likes: up to so many decoded bytes no ratio is looked at.
const GRACE: u64 = 1 << 20;

/// How many codings one body may have.
const MOST_CODINGS: usize = 2;

/// 32 KiB, all that deflate knows (RFC 1951, section 2).
const DEFLATE_WINDOW_LOG: u8 = 15;

/// Bytes that inflating needs: its window and its tables.
const INFLATE: usize = 48 << 10;

/// 8 MiB, the most that HTTP allows (RFC 9659, section 3).
const ZSTD_WINDOW_LOG: u32 = 23;

/// What a frame begins with (RFC 8878, section 3.1.1); skippable frames begin otherwise.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// One member (RFC 1952).
    Gzip,
    /// The zlib format (RFC 1950), as RFC 9110, section 8.4.1.2 has it; bare deflate, which some send
    /// under this name, has no checksum and no sure mark, and is refused.
    Deflate,
    /// RFC 7932, without the large windows that its authors added later.
    Brotli,
    /// One frame (RFC 8878), its window as RFC 9659 bounds it.
    Zstd,
}

impl Coding {
    pub const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    /// The word in `Content-Encoding` and in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// Case does not matter; `x-gzip` is `gzip` (RFC 9110, section 8.4.1.3).
    #[must_use]
    pub fn parse(word: &str) -> Option<Coding> {
        let word = if word.eq_ignore_ascii_case("x-gzip") { "gzip" } else { word };
        Coding::ALL.into_iter().find(|coding| coding.name().eq_ignore_ascii_case(word))
    }

    /// The codings of all `Content-Encoding` values of one answer, in the order in which they were
    /// applied. `identity` is none.
    ///
    /// # Errors
    /// The upstream's: where a word is no coding that is known here, or where there are too many.
    pub fn applied<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Result<Vec<Coding>, DecodeError> {
        let mut codings = Vec::new();
        for value in values {
            let value = std::str::from_utf8(value.as_ref()).map_err(|_| DecodeError::Unsupported)?;
            // Empty elements count for nothing (RFC 9110, section 5.6.1.2).
            let words = value.split(',').map(|word| word.trim_matches([' ', '\t']));
            for word in words.filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("identity")) {
                if codings.len() == MOST_CODINGS {
                    return Err(DecodeError::TooMany);
                }
                codings.push(Coding::parse(word).ok_or(DecodeError::Unsupported)?);
            }
        }
        Ok(codings)
    }
}

/// Why a body is not decoded. Holds no byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the decoded body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("the body decodes to more than {0} times its size")]
    Ratio(u64),
    #[error("the body is labelled {name} and is not valid {name}", name = .0.name())]
    Malformed(Coding),
    #[error("the body ends before its {} does", .0.name())]
    Truncated(Coding),
    #[error("the body goes on after the end of its {}", .0.name())]
    Trailing(Coding),
    #[error("the body has a content coding other than gzip, deflate, br and zstd")]
    Unsupported,
    #[error("the body has more than {MOST_CODINGS} content codings")]
    TooMany,
    #[error("the memory for a {} decoder cannot be had", .0.name())]
    Memory(Coding),
    #[error("the decoding has stopped at an earlier error")]
    Stopped,
}

/// What a body may become.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Decoded bytes for each coded byte, by every coding and by all of them together; the first MiB
    /// that is decoded is free.
    pub ratio: u64,
    /// Decoded bytes in total.
    pub size: Option<u64>,
}

impl DecodeLimits {
    fn check_ratio(self, coded: u64, decoded: u64) -> Result<(), DecodeError> {
        let free = decoded <= GRACE || decoded <= self.ratio.saturating_mul(coded);
        if free { Ok(()) } else { Err(DecodeError::Ratio(self.ratio)) }
    }

    fn check_size(self, decoded: u64) -> Result<(), DecodeError> {
        self.size.filter(|&size| decoded > size).map_or(Ok(()), |size| Err(DecodeError::TooLarge(size)))
    }
}

/// Where decoded bytes go, and what may go wrong there.
type Sink<'a, E> = dyn FnMut(&[u8]) -> Result<(), E> + 'a;

/// Decodes a body as it comes, and keeps none of it but the windows of its codings.
///
/// The memory is bounded for each coding, never mind the body: for gzip and deflate 0.4 MiB, for zstd
/// 9 MiB, for brotli 17 MiB, and up to 30 MiB for one made to that end. It is the sender's window that
/// counts: small bodies take 0.4 MiB in any coding.
pub struct Decoder {
    /// The coding that was applied last is the first one here.
    layers: Vec<Layer>,
    limits: DecodeLimits,
    coded: u64,
    decoded: u64,
    stopped: bool,
}

impl Decoder {
    /// `codings` in the order in which they were applied; without any, the body is what it decodes to.
    ///
    /// # Errors
    /// Where there are too many codings, or no memory for one.
    pub fn new(codings: &[Coding], limits: DecodeLimits) -> Result<Decoder, DecodeError> {
        if codings.len() > MOST_CODINGS {
            return Err(DecodeError::TooMany);
        }
        let layers = codings.iter().rev().map(|&coding| Layer::new(coding)).collect::<Result<_, _>>()?;
        Ok(Decoder { layers, limits, coded: 0, decoded: 0, stopped: false })
    }

    /// Takes the next bytes of the body, and hands on what they decode to in pieces of at most
    /// 64 KiB: nothing is held back, and nothing is handed on that is over a limit.
    ///
    /// # Errors
    /// Where the body is malformed or over a limit, and what `sink` itself returns. The decoder stops
    /// at the first error and gives its memory back.
    pub fn push<E: From<DecodeError>>(&mut self, data: &[u8], sink: &mut Sink<'_, E>) -> Result<(), E> {
        if self.stopped {
            return Err(DecodeError::Stopped.into());
        }
        let result = self.feed(data, sink);
        if result.is_err() {
            self.stopped = true;
            self.layers = Vec::new();
        }
        result
    }

    /// The body has ended. Only now is what was handed on known to be whole.
    ///
    /// # Errors
    /// Where a coding has not ended with the body, or where the decoder has stopped before.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.stopped {
            return Err(DecodeError::Stopped);
        }
        match self.layers.iter().find(|layer| !layer.ended) {
            Some(layer) => Err(DecodeError::Truncated(layer.coding)),
            None => Ok(()),
        }
    }

    /// Bytes that its codings hold: their windows, and a piece of each. Of brotli's tables nothing is known.
    #[must_use]
    pub fn held(&self) -> usize {
        self.layers.iter().map(|layer| layer.piece.len() + layer.codec.held()).sum()
    }

    fn feed<E: From<DecodeError>>(&mut self, data: &[u8], sink: &mut Sink<'_, E>) -> Result<(), E> {
        let Decoder { layers, limits, coded, decoded, .. } = self;
        // In pieces, so that bytes that are yet to be decoded earn nothing for the ratio.
        for piece in data.chunks(PIECE) {
            *coded += piece.len() as u64;
            let mut out = |piece: &[u8]| {
                *decoded += piece.len() as u64;
                limits.check_ratio(*coded, *decoded)?;
                limits.check_size(*decoded)?;
                sink(piece)
            };
            peel(layers, piece, *limits, &mut out)?;
        }
        Ok(())
    }
}

/// Decodes `data` by the first layer, what comes of it by the next, and hands on what the last makes.
fn peel<E: From<DecodeError>>(
    layers: &mut [Layer],
    data: &[u8],
    limits: DecodeLimits,
    sink: &mut Sink<'_, E>,
) -> Result<(), E> {
    match layers.split_first_mut() {
        Some((layer, inner)) => layer.decode(data, limits, &mut |piece| peel(inner, piece, limits, sink)),
        None => sink(data),
    }
}

/// One coding of the body.
struct Layer {
    coding: Coding,
    codec: Codec,
    piece: Box<[u8]>,
    coded: u64,
    decoded: u64,
    ended: bool,
}

impl Layer {
    fn new(coding: Coding) -> Result<Layer, DecodeError> {
        let codec = Codec::new(coding).ok_or(DecodeError::Memory(coding))?;
        let piece = vec![0; PIECE].into_boxed_slice();
        Ok(Layer { coding, codec, piece, coded: 0, decoded: 0, ended: false })
    }

    fn decode<E: From<DecodeError>>(
        &mut self,
        mut data: &[u8],
        limits: DecodeLimits,
        sink: &mut Sink<'_, E>,
    ) -> Result<(), E> {
        loop {
            if self.ended && !data.is_empty() {
                return Err(DecodeError::Trailing(self.coding).into());
            }
            if self.ended {
                return Ok(());
            }
            let step = self.codec.step(data, &mut self.piece);
            // A codec that does not move would be asked forever.
            let step = step.filter(|step| data.is_empty() || step.read + step.written > 0);
            let step = step.ok_or(DecodeError::Malformed(self.coding))?;
            data = &data[step.read..];
            self.coded += step.read as u64;
            self.decoded += step.written as u64;
            self.ended = step.ended;
            limits.check_ratio(self.coded, self.decoded)?;
            if step.written > 0 {
                sink(&self.piece[..step.written])?;
            }
            // A full piece may have left more behind.
            if data.is_empty() && step.written < self.piece.len() {
                return Ok(());
            }
        }
    }
}

type Unbrotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// How far a codec got, in bytes.
struct Step {
    read: usize,
    written: usize,
    ended: bool,
}

enum Codec {
    Inflate(Decompress),
    Brotli(Box<Unbrotli>),
    Zstd { frame: DCtx<'static>, begun: usize },
}

impl Codec {
    /// `None` where there is no memory.
    fn new(coding: Coding) -> Option<Codec> {
        Some(match coding {
            Coding::Gzip => Codec::Inflate(Decompress::new_gzip(DEFLATE_WINDOW_LOG)),
            Coding::Deflate => Codec::Inflate(Decompress::new_with_window_bits(true, DEFLATE_WINDOW_LOG)),
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                // `new` would take windows of up to 1 GiB.
                Codec::Brotli(Box::new(Unbrotli::new_strict(alloc(), alloc(), alloc())))
            }
            Coding::Zstd => {
                let mut frame = DCtx::try_create()?;
                frame.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).ok()?;
                Codec::Zstd { frame, begun: 0 }
            }
        })
    }

    fn held(&self) -> usize {
        match self {
            Codec::Inflate(_) => INFLATE,
            Codec::Brotli(state) => usize::try_from(state.ringbuffer_size).unwrap_or_default(),
            Codec::Zstd { frame, .. } => frame.sizeof(),
        }
    }

    /// `None` where the input is malformed.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Option<Step> {
        match self {
            Codec::Inflate(inflate) => inflated(inflate, input, output),
            Codec::Brotli(state) => unbrotlied(state, input, output),
            Codec::Zstd { frame, begun } => unframed(frame, begun, input, output),
        }
    }
}

fn inflated(inflate: &mut Decompress, input: &[u8], output: &mut [u8]) -> Option<Step> {
    let (read, written) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(input, output, FlushDecompress::None).ok()?;
    Some(Step {
        read: (inflate.total_in() - read) as usize,
        written: (inflate.total_out() - written) as usize,
        ended: status == Status::StreamEnd,
    })
}

fn unbrotlied(state: &mut Unbrotli, input: &[u8], output: &mut [u8]) -> Option<Step> {
    let (mut available_in, mut available_out) = (input.len(), output.len());
    let (mut read, mut written) = (0, 0);
    let result = BrotliDecompressStream(
        &mut available_in,
        &mut read,
        input,
        &mut available_out,
        &mut written,
        output,
        &mut 0,
        state,
    );
    let ended = match result {
        BrotliResult::ResultFailure => return None,
        BrotliResult::ResultSuccess => true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
    };
    Some(Step { read, written, ended })
}

fn unframed(frame: &mut DCtx<'_>, begun: &mut usize, mut input: &[u8], output: &mut [u8]) -> Option<Step> {
    // The magic number goes in by single bytes: so a skippable frame is refused, and the library never
    // takes its short way for a frame that is there as a whole, on which it looks at no window.
    if let (Some(&magic), Some(&byte)) = (ZSTD_MAGIC.get(*begun), input.first()) {
        if byte != magic {
            return None;
        }
        *begun += 1;
        input = &input[..1];
    }
    let (mut source, mut target) = (InBuffer::around(input), OutBuffer::around(output));
    let hint = frame.decompress_stream(&mut target, &mut source).ok()?;
    Some(Step { read: source.pos(), written: target.pos(), ended: hint == 0 })
}

#[cfg(test)]
mod tests;
