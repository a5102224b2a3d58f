//! Pixels as a file of the format PNG: eight bits a colour, no transparency, each row as its difference from the one above. It paints
//! nothing.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::raster::Pixels;

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
/// Level of compression: above it pictures of charts hardly become smaller.
const LEVEL: u32 = 6;

/// The file.
pub(super) fn write(pixels: &Pixels) -> std::io::Result<Vec<u8>> {
    let too_large = |_| std::io::Error::other("a side has more than 32 bits");
    let (width, height) = (u32::try_from(pixels.width).map_err(too_large)?, u32::try_from(pixels.height).map_err(too_large)?);
    let mut out = SIGNATURE.to_vec();
    let mut header = Vec::with_capacity(13);
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // Eight bits, red green blue, and the only ways there are to compress, filter and not to interlace.
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut out, *b"IHDR", &header)?;
    chunk(&mut out, *b"IDAT", &packed(pixels)?)?;
    chunk(&mut out, *b"IEND", &[])?;
    Ok(out)
}

fn packed(pixels: &Pixels) -> std::io::Result<Vec<u8>> {
    /// The filter that takes the row above away.
    const UP: u8 = 2;
    let row_bytes = pixels.width * 3;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(LEVEL));
    let mut above = vec![0u8; row_bytes];
    let mut line = Vec::with_capacity(row_bytes + 1);
    for row in pixels.bytes.chunks_exact(row_bytes.max(1)) {
        line.clear();
        line.push(UP);
        line.extend(row.iter().zip(&above).map(|(now, before)| now.wrapping_sub(*before)));
        encoder.write_all(&line)?;
        above.copy_from_slice(row);
    }
    encoder.finish()
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(data.len()).map_err(|_| std::io::Error::other("a chunk has more than 32 bits of length"))?;
    out.extend(length.to_be_bytes());
    out.extend(kind);
    out.extend(data);
    let mut crc = flate2::Crc::new();
    crc.update(&kind);
    crc.update(data);
    out.extend(crc.sum().to_be_bytes());
    Ok(())
}

/// Reads a file of ours back, for tests.
#[cfg(test)]
pub(super) fn read(file: &[u8]) -> Pixels {
    use std::io::Read as _;
    let (signature, mut rest) = file.split_at(8);
    assert_eq!(signature, SIGNATURE);
    let mut chunks: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let mut crc = flate2::Crc::new();
        crc.update(&rest[4..8 + length]);
        assert_eq!(crc.sum(), u32::from_be_bytes(rest[8 + length..12 + length].try_into().unwrap()));
        chunks.push((rest[4..8].to_vec(), rest[8..8 + length].to_vec()));
        rest = &rest[12 + length..];
    }
    let kinds: Vec<&[u8]> = chunks.iter().map(|c| &*c.0).collect();
    assert_eq!(kinds, [b"IHDR", b"IDAT", b"IEND"]);
    let number = |at: usize| u32::from_be_bytes(chunks[0].1[at..at + 4].try_into().unwrap()) as usize;
    let (width, height) = (number(0), number(4));
    assert_eq!(chunks[0].1[8..], [8, 2, 0, 0, 0]);
    let mut raw = Vec::new();
    flate2::read::ZlibDecoder::new(&*chunks[1].1).read_to_end(&mut raw).unwrap();
    assert_eq!(raw.len(), height * (width * 3 + 1));
    let mut bytes: Vec<u8> = Vec::new();
    for (y, row) in raw.chunks_exact(width * 3 + 1).enumerate() {
        assert_eq!(row[0], 2);
        for (x, byte) in row[1..].iter().enumerate() {
            let above = if y == 0 { 0 } else { bytes[(y - 1) * width * 3 + x] };
            bytes.push(byte.wrapping_add(above));
        }
    }
    Pixels { width, height, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let bytes: Vec<u8> = (0..5 * 7 * 3).map(|n| (n * n % 251) as u8).collect();
        let file = write(&Pixels { width: 5, height: 7, bytes: bytes.clone() }).unwrap();
        let back = read(&file);
        assert_eq!((back.width, back.height, back.bytes), (5, 7, bytes));
    }
}
