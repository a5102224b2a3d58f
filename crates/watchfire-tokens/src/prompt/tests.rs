//! Prompts as the analyzer writes them, and prompts that are written to confuse.

use proptest::prelude::*;

use super::*;
use crate::embedded::Encoding;

fn counter() -> Counter {
    Counter::new(Encoding::Cl100kBase)
}

/// Divided by kinds, as text: sections by name, instructions as `!`, the rest as `-`.
fn pieces(prompt: &str) -> Vec<(&'static str, &str)> {
    let name = |kind| match kind {
        Kind::Section(section) => SECTIONS[section],
        Kind::Instruction => "!",
        Kind::Other => "-",
    };
    divide(prompt).into_iter().map(|p| (name(p.kind), prompt.get(p.begin..p.end).expect("pieces end between characters"))).collect()
}

#[test]
fn sections_are_found_however_they_are_headed() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("You are.\n## Depth Context\nfar\n## Time\nnoon\n", &[("-", "You are.\n"), ("depth_context", "## Depth Context\nfar\n"), ("-", "## Time\nnoon\n")]),
        (
            "### 2. Re-ID Context (3 cameras): ###\na\n#### more\nb\n# End\n",
            &[("reid_context", "### 2. Re-ID Context (3 cameras): ###\na\n#### more\nb\n"), ("-", "# End\n")],
        ),
        (
            "## Scene Analysis\na\n### Depth Context\nb\n### Other\nc\n",
            &[("scene_analysis", "## Scene Analysis\na\n"), ("depth_context", "### Depth Context\nb\n"), ("scene_analysis", "### Other\nc\n")],
        ),
        ("**Weather Context:** rain\nwind\n**Notes**\nn\n", &[("weather_context", "**Weather Context:** rain\nwind\n"), ("-", "**Notes**\nn\n")]),
        ("pose_analysis: sits\nlegs\n# X\n", &[("pose_analysis", "pose_analysis: sits\nlegs\n"), ("-", "# X\n")]),
        (
            "a {zone_analysis} b {x} {{depth_context}}\n",
            &[("-", "a "), ("zone_analysis", "{zone_analysis}"), ("-", " b {x} {"), ("depth_context", "{depth_context}"), ("-", "}\n")],
        ),
        ("<zone_analysis>\n# a\n</zone_analysis>\nb\n", &[("zone_analysis", "<zone_analysis>\n# a\n</zone_analysis>\n"), ("-", "b\n")]),
        (
            "<zone_analysis>in</zone_analysis> out\n<zone_analysis>\nx\n",
            &[("zone_analysis", "<zone_analysis>in</zone_analysis>"), ("-", " out\n<zone_analysis>\nx\n")],
        ),
        (
            "## Depth Context\na\n```\n# no heading\n```\nb\n# Heading\n",
            &[("depth_context", "## Depth Context\na\n```\n# no heading\n```\nb\n"), ("-", "# Heading\n")],
        ),
        ("## Depth Context\n```\n# Heading\n```json\n{}\n```\n", &[("depth_context", "## Depth Context\n```\n"), ("-", "# Heading\n```json\n{}\n```\n")]),
        ("## Depth Contexts\n#Depth Context\n", &[("-", "## Depth Contexts\n#Depth Context\n")]),
        ("## Depth Context\r\nfar\r\n", &[("depth_context", "## Depth Context\r\nfar\r\n")]),
    ];
    for (prompt, expected) in cases {
        assert_eq!(pieces(prompt), *expected, "{prompt:?}");
    }
}

#[test]
fn what_tells_the_model_how_to_answer_is_no_section() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("## Depth Context\nfar\n### Output format\nJSON\n", &[("depth_context", "## Depth Context\nfar\n"), ("!", "### Output format\nJSON\n")]),
        (
            "## Depth Context\nfar<|im_end|>\n<|im_start|>assistant\n",
            &[("depth_context", "## Depth Context\nfar"), ("!", "<|im_end|>\n<|im_start|>assistant\n")],
        ),
        ("## Scene Analysis\ncar\n\nRespond with JSON only.", &[("scene_analysis", "## Scene Analysis\ncar\n\n"), ("!", "Respond with JSON only.")]),
        (
            "## Output\nscene_analysis: text\n**Depth Context:** text\n{zone_analysis}\n",
            &[("!", "## Output\nscene_analysis: text\n**Depth Context:** text\n{zone_analysis}\n")],
        ),
        ("<scene_analysis>\n## Task\nanswer\n</scene_analysis>\n", &[("scene_analysis", "<scene_analysis>\n"), ("!", "## Task\nanswer\n</scene_analysis>\n")]),
    ];
    for (prompt, expected) in cases {
        assert_eq!(pieces(prompt), *expected, "{prompt:?}");
    }
}

/// A prompt with every section, in the order of the document and not of priority, between a role and a request.
fn full_prompt() -> String {
    let mut prompt = "You assess security events.\n\n".to_owned();
    for name in SECTIONS.iter().rev() {
        let title: Vec<String> = name.split('_').map(|w| w.get(..1).unwrap_or_default().to_uppercase() + w.get(1..).unwrap_or_default()).collect();
        prompt += &format!("## {}\nEverything that is known about {name}, in a sentence or two.\n\n", title.join(" "));
    }
    prompt + "## Output Format\nAnswer with JSON: {\"risk_score\": 0-100}\n"
}

#[test]
fn tok_12_sections_go_in_the_documented_order() {
    let counter = counter();
    let prompt = full_prompt();
    let end = truncate(&counter, &prompt, 25);
    assert_eq!(end.sections_removed, SECTIONS);
    assert!(end.fits && !end.was_cut, "{end:?}");
    assert_eq!(end.text, "You assess security events.\n\n## Output Format\nAnswer with JSON: {\"risk_score\": 0-100}\n");
    assert_eq!(SECTIONS[0], "depth_context");
    assert_eq!(SECTIONS[15], "scene_analysis");
}

#[test]
fn tok_13_no_more_sections_go_than_needed() {
    let counter = counter();
    let prompt = full_prompt();
    let all = counter.count(&prompt);
    assert!(!truncate(&counter, &prompt, all).was_truncated());
    let mut removed = 0;
    for max in (30..all).rev() {
        let done = truncate(&counter, &prompt, max);
        assert_eq!(done.sections_removed, SECTIONS[..done.sections_removed.len()]);
        assert_eq!(done.final_tokens, counter.count(&done.text));
        assert!(done.fits && done.final_tokens <= max);
        // One section less would not have been enough.
        let kept: Vec<_> = divide(&prompt).into_iter().filter(|p| !matches!(p.kind, Kind::Section(s) if s + 1 < done.sections_removed.len())).collect();
        assert!(counter.count(&join(&prompt, &kept)) > max);
        assert!(done.sections_removed.len() >= removed);
        removed = done.sections_removed.len();
    }
    assert_eq!(removed, 16);
}

#[test]
fn repeated_headers_go_together_and_absent_ones_are_not_listed() {
    let prompt = "## Depth Context\nnear\n## Camera\nfront\n## depth_context\nfar\n## Weather Context\nrain\n";
    let done = truncate(&counter(), prompt, 14);
    assert_eq!(done.sections_removed, ["depth_context"]);
    assert_eq!(done.text, "## Camera\nfront\n## Weather Context\nrain\n");
}

#[test]
fn the_last_resort_cuts_data_and_keeps_the_instructions() {
    let counter = counter();
    let rows: String = (0..400).map(|n| format!("- row {n}: a car passes the gate\n")).collect();
    let prompt = format!(
        "<|im_start|>system\nYou assess events.<|im_end|>\n<|im_start|>user\n## Rows\n{rows}\n## Output\nAnswer with JSON.<|im_end|>\n<|im_start|>assistant\n"
    );
    let done = truncate(&counter, &prompt, 200);
    assert!(done.fits && done.was_cut && done.final_tokens > 150, "{done:?}");
    assert!(done.text.starts_with("<|im_start|>system\nYou assess events.<|im_end|>\n<|im_start|>user\n## Rows\n- row 0: a car"));
    assert!(done.text.ends_with("gate\n...[truncated]\n## Output\nAnswer with JSON.<|im_end|>\n<|im_start|>assistant\n"), "{}", done.text);
    assert_eq!(truncate(&counter, &done.text, 200).text, done.text);
    let hopeless = truncate(&counter, &prompt, 20);
    assert!(!hopeless.fits);
    assert!(hopeless.text.contains("## Output\nAnswer with JSON."));
}

#[test]
fn a_text_without_any_structure_keeps_its_beginning_and_its_last_paragraph() {
    let counter = counter();
    let text = format!("{}\n\nWhat happened?", "many words in one line and no end ".repeat(2000));
    let done = truncate(&counter, &text, 100);
    assert!(done.fits && done.final_tokens > 90);
    assert!(done.text.starts_with("many words") && done.text.ends_with("...[truncated]\nWhat happened?"), "{}", done.text);
    let line = "x ".repeat(10_000);
    let done = truncate(&counter, &line, 50);
    assert!(done.fits && done.final_tokens > 40 && done.text.ends_with("...[truncated]\n"), "{}", done.text);
    assert_eq!(truncate(&counter, "", 0).text, "");
    assert!(truncate(&counter, "word", 0).text.is_empty());
}

/// Lines of which prompts, and attempts to confuse, are made.
const LINES: [&str; 24] = [
    "## Depth Context\n",
    "### Depth Context\n",
    "# Scene Analysis\n",
    "## Output Format\n",
    "**Weather Context:** rain\n",
    "pose_analysis: none\n",
    "<zone_analysis>\n",
    "</zone_analysis>\n",
    "a </zone_analysis> b\n",
    "{reid_context}\n",
    "x{{baseline_comparison}}y\n",
    "```\n",
    "```json\n",
    "~~~\n",
    "\n",
    "\r\n",
    "plain text about a car and a gate\n",
    "Respond with JSON.\n",
    "<|im_end|>\n",
    "text<|im_start|>user\n",
    "######\n",
    "{{{{{{<<<<<\n",
    "🦊 漢字 \u{301}\n",
    "no line end",
];

proptest! {
    #[test]
    fn pieces_cover_the_prompt_without_gaps(lines in prop::collection::vec(prop::sample::select(&LINES[..]), 0..40)) {
        let prompt = lines.concat();
        let mut at = 0;
        for piece in divide(&prompt) {
            prop_assert_eq!(piece.begin, at);
            prop_assert!(piece.end > piece.begin);
            at = piece.end;
        }
        prop_assert_eq!(at, prompt.len());
    }

    #[test]
    fn what_comes_out_fits_or_holds_instructions_alone(lines in prop::collection::vec(prop::sample::select(&LINES[..]), 0..40), max in 0usize..120) {
        let (counter, prompt) = (counter(), lines.concat());
        let done = truncate(&counter, &prompt, max);
        prop_assert_eq!(done.final_tokens, counter.count(&done.text));
        prop_assert_eq!(done.fits, done.final_tokens <= max);
        prop_assert_eq!(done.was_truncated(), done.text != prompt);
        let instructions: Vec<_> = divide(&prompt).into_iter().filter(|p| p.kind == Kind::Instruction).collect();
        let mut behind = done.text.as_str();
        for piece in &instructions {
            let text = prompt.get(piece.begin..piece.end).expect("pieces end between characters");
            let found = behind.split_once(text);
            prop_assert!(found.is_some(), "{:?} is missing in {:?}", text, done.text);
            behind = found.map_or("", |(_, rest)| rest);
        }
        if done.fits {
            prop_assert_eq!(truncate(&counter, &done.text, max).text, done.text);
        } else {
            prop_assert_eq!(&done.text, &join(&prompt, &instructions));
        }
    }
}
