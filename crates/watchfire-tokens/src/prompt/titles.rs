//! What a line says that may be a title: headings, bold lines, labels, tags, and the names in them. How far a section reaches is not
//! decided here.

/// Sections that may go, lowest priority first: the order in which they are removed.
pub const SECTIONS: [&str; 16] = [
    "depth_context",
    "pose_analysis",
    "action_recognition",
    "pet_classification_context",
    "image_quality_context",
    "weather_context",
    "vehicle_damage_context",
    "vehicle_classification_context",
    "clothing_analysis_context",
    "violence_context",
    "reid_context",
    "cross_camera_summary",
    "baseline_comparison",
    "zone_analysis",
    "detections_with_all_attributes",
    "scene_analysis",
];

/// Words of a heading under which the model is told what to answer.
const INSTRUCTION_WORDS: [&str; 12] =
    ["instruction", "instructions", "task", "output", "answer", "response", "respond", "reply", "schema", "question", "rules", "requirements"];
/// Words of a closing paragraph that tells the model what to answer.
const REQUEST_WORDS: [&str; 13] =
    ["respond", "reply", "answer", "return", "output", "provide", "assess", "analyze", "analyse", "determine", "json", "classify", "instruction"];
/// So much of a paragraph is read for them.
const REQUEST_BYTES_MAX: usize = 400;
/// Bold lines and labels stand below every heading.
const LABEL_LEVEL: usize = 7;

/// What a title names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Title {
    Section(usize),
    Instruction,
    Other,
}

/// A title and its level: 1 to 6 for `#` to `######`, 7 for a label.
pub(super) fn title(text: &str) -> Option<(usize, Title)> {
    heading(text).or_else(|| label(text))
}

/// Whether a title is a label rather than a heading.
pub(super) fn is_label(level: usize) -> bool {
    level == LABEL_LEVEL
}

/// The section of a name as the seeds write it, at the beginning of a text: `depth_context} and more`, up to `end`.
pub(super) fn section_before(text: &str, end: char) -> Option<usize> {
    SECTIONS.iter().position(|section| text.strip_prefix(section).is_some_and(|rest| rest.starts_with(end)))
}

/// `## Depth Context`, at any level.
fn heading(text: &str) -> Option<(usize, Title)> {
    let title = text.trim_start_matches('#');
    let level = text.len() - title.len();
    let is_heading = (1..=6).contains(&level) && title.starts_with([' ', '\t']);
    is_heading.then(|| (level, meaning(title.trim_end_matches('#'))))
}

/// `**Depth Context:** …` and `depth_context: …`, for named sections; a whole line in bold, for any title.
fn label(text: &str) -> Option<(usize, Title)> {
    if let Some((title, rest)) = text.strip_prefix("**").and_then(|behind| behind.split_once("**")) {
        let title = meaning(title);
        let whole_line = rest.trim_matches([':', ' ']).is_empty();
        return (whole_line || matches!(title, Title::Section(_))).then_some((LABEL_LEVEL, title));
    }
    section_before(text, ':').map(|section| (LABEL_LEVEL, Title::Section(section)))
}

fn meaning(title: &str) -> Title {
    let name = snake(title);
    if let Some(section) = SECTIONS.iter().position(|section| *section == name) {
        return Title::Section(section);
    }
    match name.split('_').any(|word| INSTRUCTION_WORDS.contains(&word)) {
        true => Title::Instruction,
        false => Title::Other,
    }
}

/// `3. Re-ID Context (5 cameras):` is `reid_context`: lower case, words joined, without numbering and what stands in brackets.
fn snake(title: &str) -> String {
    let title = title.split_once('(').map_or(title, |(before, _)| before);
    let lower = title.to_lowercase().replace("re-id", "reid");
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.skip_while(|word| word.bytes().all(|b| b.is_ascii_digit())).collect();
    words.join("_")
}

/// Whether a paragraph asks for an answer.
pub(super) fn is_request(paragraph: &str) -> bool {
    let paragraph = paragraph.trim();
    if paragraph.starts_with(['#', '*', '<', '-', '{', '[', '|']) {
        return false;
    }
    let beginning = paragraph.get(..paragraph.floor_char_boundary(REQUEST_BYTES_MAX)).unwrap_or_default().to_lowercase();
    beginning.split(|c: char| !c.is_alphanumeric()).any(|word| REQUEST_WORDS.contains(&word))
}
