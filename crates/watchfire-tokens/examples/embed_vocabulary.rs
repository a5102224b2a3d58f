//! Writes a vocabulary in the form that is embedded: `embed_vocabulary cl100k_base.tiktoken src/embedded/cl100k_base.pairs`. The first is
//! a file of tiktoken (a token in base64 and its rank on each line). For whoever adds an encoding; the product does not need it.

use std::collections::HashMap;
use std::process::ExitCode;

use base64::Engine as _;

fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &paths[..] else {
        eprintln!("usage: embed_vocabulary FILE.tiktoken FILE.pairs");
        return ExitCode::from(2);
    };
    match embed(from).and_then(|bytes| std::fs::write(to, bytes).map_err(|e| format!("cannot write {to}: {e}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("embed_vocabulary: {message}");
            ExitCode::FAILURE
        }
    }
}

fn embed(path: &str) -> Result<Vec<u8>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    let mut ranks: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut tokens = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (token, rank) = line.split_once(' ').ok_or(format!("cannot read the line {line:?}"))?;
        let token = base64::engine::general_purpose::STANDARD.decode(token).map_err(|e| format!("cannot read the token {token:?}: {e}"))?;
        let rank: u32 = rank.parse().map_err(|e| format!("cannot read the rank {rank:?}: {e}"))?;
        if rank as usize != tokens.len() {
            return Err(format!("token {} is missing; ranks must follow each other", tokens.len()));
        }
        ranks.insert(token.clone(), rank);
        tokens.push(token);
    }
    let pairs: Result<Vec<(u32, u32)>, String> =
        tokens.iter().zip(0..).skip(256).map(|(token, rank)| halves(&ranks, token, rank).ok_or(format!("token {rank} is not the merge of two"))).collect();
    let pairs = pairs?;
    let plane = |number: fn(&(u32, u32)) -> u32, shift: u32| -> Vec<u8> { pairs.iter().map(|pair| (number(pair) >> shift) as u8).collect() };
    let mut out = Vec::new();
    for number in [|pair: &(u32, u32)| pair.0, |pair: &(u32, u32)| pair.1] {
        for shift in [0, 8, 16] {
            let frame = zstd::bulk::compress(&plane(number, shift), 22).map_err(|e| format!("cannot compress: {e}"))?;
            out.extend((frame.len() as u32).to_le_bytes());
            out.extend(frame);
        }
    }
    Ok(out)
}

/// The two tokens that are left when only earlier merges are applied.
fn halves(ranks: &HashMap<Vec<u8>, u32>, token: &[u8], rank: u32) -> Option<(u32, u32)> {
    let mut ends: Vec<usize> = (0..=token.len()).collect();
    while ends.len() > 3 {
        let merge = |n: usize| ranks.get(&token[ends[n]..ends[n + 2]]).copied().filter(|r| *r < rank).map(|r| (r, n));
        let (_, at) = (0..ends.len() - 2).filter_map(merge).min()?;
        ends.remove(at + 1);
    }
    Some((*ranks.get(&token[..ends[1]])?, *ranks.get(&token[ends[1]..])?))
}
