//! The eighty classes of COCO, and what becomes of any other. The server's catalog has the same list; here it keeps a busy
//! program from holding a series per misspelling.

/// In the order of the data set.
#[rustfmt::skip]
pub(super) const CLASSES: [&str; 80] = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light", "fire hydrant",
    "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat",
    "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl",
    "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave",
    "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
];

/// A class as it is recorded: lower case and trimmed when it is one of COCO's, `unknown` when it is empty, else `other`.
pub fn sanitize_object_class(raw: &str) -> &'static str {
    let cleaned = raw.trim().to_lowercase();
    match CLASSES.iter().find(|class| **class == cleaned) {
        Some(class) => class,
        None if cleaned.is_empty() || cleaned == "unknown" => "unknown",
        None => "other",
    }
}
