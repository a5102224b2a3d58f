//! Tar files (ustar), as far as backups need them: plain files with short names, of any size.

use std::io::{self, Read, Write};

const BLOCK: usize = 512;
/// Larger sizes are written in binary, as GNU tar does.
const OCTAL_MAX: u64 = 0o777_7777_7777;

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn checksum(header: &[u8; BLOCK]) -> u64 {
    // The field of the sum itself counts as spaces.
    header.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { u64::from(b' ') } else { u64::from(*b) }).sum()
}

/// Writes the header of a file. Its bytes follow, then [`write_end_of_file`].
pub(super) fn write_header(out: &mut impl Write, name: &str, bytes: u64) -> io::Result<()> {
    let mut header = [0u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    if name.is_empty() || name.len() > 100 {
        return Err(invalid("a name is too long for a tar file"));
    }
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if bytes <= OCTAL_MAX {
        put(124, format!("{bytes:011o}\0").as_bytes());
    } else {
        put(124, &[0x80]);
        put(128, &bytes.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum = checksum(&header);
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.write_all(&header)
}

/// Fills the last block of a file.
pub(super) fn write_end_of_file(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    let rest = (bytes % BLOCK as u64) as usize;
    if rest > 0 { out.write_all(&[0u8; BLOCK][rest..]) } else { Ok(()) }
}

/// Ends the tar file.
pub(super) fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0u8; 2 * BLOCK])
}

/// Reads the next header: a name and a size, or nothing at the end.
pub(super) fn read_header(input: &mut impl Read) -> io::Result<Option<(String, u64)>> {
    let mut header = [0u8; BLOCK];
    input.read_exact(&mut header)?;
    if header.iter().all(|b| *b == 0) {
        return Ok(None);
    }
    let text = |at: usize, len: usize| {
        let field = &header[at..at + len];
        std::str::from_utf8(field.split(|b| *b == 0).next().unwrap_or(&[])).map(|t| t.trim().to_owned()).map_err(|_| invalid("a header is not text"))
    };
    let octal = |at: usize, len: usize| u64::from_str_radix(&text(at, len)?, 8).map_err(|_| invalid("a number in a header cannot be read"));
    if &header[257..262] != b"ustar" || octal(148, 8)? != checksum(&header) {
        return Err(invalid("it is not a tar file, or it is damaged"));
    }
    if header[156] != b'0' && header[156] != 0 {
        return Err(invalid("it holds something that is no plain file"));
    }
    let bytes = if header[124] == 0x80 {
        let mut word = [0; 8];
        word.copy_from_slice(&header[128..136]);
        u64::from_be_bytes(word)
    } else {
        octal(124, 12)?
    };
    Ok(Some((text(0, 100)?, bytes)))
}

/// Passes over the rest of the last block of a file.
pub(super) fn read_end_of_file(input: &mut impl Read, bytes: u64) -> io::Result<()> {
    let rest = (bytes % BLOCK as u64) as usize;
    if rest > 0 {
        input.read_exact(&mut [0u8; BLOCK][rest..])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        for (name, content) in [("format", &b"watchfire data 1\n"[..]), ("metrics/1.seg", &[7; 512]), ("empty", b"")] {
            write_header(&mut out, name, content.len() as u64).unwrap();
            out.extend_from_slice(content);
            write_end_of_file(&mut out, content.len() as u64).unwrap();
        }
        write_header(&mut out, "huge", 1 << 40).unwrap();
        let mut input = &out[..];
        for (name, bytes) in [("format", 17), ("metrics/1.seg", 512), ("empty", 0)] {
            assert_eq!(read_header(&mut input).unwrap(), Some((name.to_owned(), bytes)));
            input = &input[bytes as usize..];
            read_end_of_file(&mut input, bytes).unwrap();
        }
        assert_eq!(read_header(&mut input).unwrap(), Some(("huge".to_owned(), 1 << 40)));
        let mut end = Vec::new();
        write_end(&mut end).unwrap();
        assert_eq!(read_header(&mut &end[..]).unwrap(), None);
        out[3] ^= 1;
        assert!(read_header(&mut &out[..]).unwrap_err().to_string().contains("damaged"));
    }
}
