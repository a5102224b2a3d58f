//! `/render/…`: panels as pictures in SVG and PNG, for mails, notifications and wikis, without a browser. Queries run as they do elsewhere;
//! what a panel says of itself is read as the page reads it, as far as a still picture needs it.

mod asked;
#[cfg(test)]
mod board_tests;
mod colours;
mod draw;
mod fields;
mod font;
mod frames;
mod gate;
mod heat;
#[cfg(test)]
mod kinds_tests;
mod list;
mod logs;
mod look;
mod options;
mod panel;
mod png;
mod queries;
mod raster;
mod repeat;
mod rows;
mod shape;
mod svg;
mod table;
#[cfg(test)]
mod tests;
mod transform;
#[cfg(test)]
mod transform_tests;
mod units;
mod variables;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use watchfire_net::blocking::spawn_blocking;

use self::asked::{Asked, Format, SIZE, accepted, ending};
use self::draw::{Content, View, draw};
use self::list::{Anchor, Picture, fitting};
use self::panel::{Panel, panels};
use self::queries::Asked as Questions;
use self::repeat::{Layout, Local, Placed};
use self::transform::Notes;
use super::error::GrafanaError;
use crate::app::App;
use crate::prometheus::answer::ApiError;
use crate::prometheus::gate::run;

pub(super) use self::asked::moment;
pub(crate) use self::gate::PictureGate;
pub(super) use self::queries::series_name;
pub(super) use self::variables::Variables;

/// The most panels of one picture.
const PANELS_MAX: usize = 100;
/// A picture that holds so many bytes gets no more panels.
const BYTES_MAX: usize = 16 << 20;
/// The most pixels of a picture in PNG: they are held in memory, three bytes each.
const PIXELS_MAX: usize = 9_000_000;
/// How high a row of the grid is in a picture of all panels, and how many there are at most.
const ROW: f64 = 30.0;
const ROWS_MAX: f64 = 1_000.0;

/// `GET /render/d/{uid}` and `/render/d-solo/{uid}`: SVG unless something else is wanted.
pub(super) async fn render(
    State(app): State<Arc<App>>,
    Path(uid): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, GrafanaError> {
    let (uid, ended) = ending(&uid);
    answer(&app, uid, query.as_deref().unwrap_or(""), ended, &headers, Format::Svg).await
}

/// The same with the title in the address, which nobody reads. It is the address of Grafana's renderer, so it is PNG unless something else
/// is wanted.
pub(super) async fn render_named(
    State(app): State<Arc<App>>,
    Path((uid, slug)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, GrafanaError> {
    answer(&app, &uid, query.as_deref().unwrap_or(""), ending(&slug).1, &headers, Format::Png).await
}

async fn answer(app: &Arc<App>, uid: &str, query: &str, ended: Option<Format>, headers: &HeaderMap, usual: Format) -> Result<Response, GrafanaError> {
    let asked = Asked::read(query, app.now().millis())?;
    let format = asked.format.or(ended).or_else(|| accepted(headers)).unwrap_or(usual);
    let file = match format {
        Format::Svg => svg::write(&picture(app, uid, &asked, None).await?).into_bytes(),
        Format::Png => painted(app, uid, &asked).await?,
    };
    let [svg, png] = &app.pictures.drawn;
    if format == Format::Svg {
        svg.inc()
    } else {
        png.inc()
    }
    Ok(([(CONTENT_TYPE, format.content_type()), (VARY, "Accept")], file).into_response())
}

/// A picture as PNG, for mails and notifications that are made here. The query is that of the address; the error is a sentence.
pub(crate) async fn png(app: &Arc<App>, uid: &str, query: &str) -> Result<Vec<u8>, String> {
    let asked = Asked::read(query, app.now().millis()).map_err(|error| error.message)?;
    let file = painted(app, uid, &asked).await.map_err(|error| error.message)?;
    app.pictures.drawn[1].inc();
    Ok(file)
}

async fn painted(app: &Arc<App>, uid: &str, asked: &Asked) -> Result<Vec<u8>, GrafanaError> {
    let turn = app.pictures.admit().await?;
    let picture = picture(app, uid, asked, Some(PIXELS_MAX)).await?;
    let (scale, ground, app) = (asked.scale, asked.theme.paper, app.clone());
    let painting = spawn_blocking(move || {
        // Its turn ends with the work, not when nobody waits for it any more.
        let _turn = turn;
        let limit = app.rooms.limits.timeout;
        let until = app.rooms.clock.monotonic() + limit;
        let go_on = || {
            if app.rooms.clock.monotonic() < until {
                return Ok(());
            }
            app.pictures.unfinished.inc();
            Err(GrafanaError::new(StatusCode::SERVICE_UNAVAILABLE, format!("the picture was not painted within {} s", limit.as_secs())))
        };
        let pixels = raster::paint(&picture, scale, ground, &go_on)?;
        png::write(&pixels).map_err(|error| GrafanaError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the picture: {error}")))
    });
    painting.await.unwrap_or_else(|error| {
        tracing::error!(%error, "painting a picture ended in a panic");
        Err(GrafanaError::new(StatusCode::INTERNAL_SERVER_ERROR, "it failed inside; the server's log says more"))
    })
}

/// What is to be drawn. With a bound of pixels, whoever wants more is told before any query runs.
async fn picture(app: &Arc<App>, uid: &str, asked: &Asked, pixels_max: Option<usize>) -> Result<Picture, GrafanaError> {
    let (boards, uid) = (app.rooms.boards.clone(), uid.to_owned());
    let found = spawn_blocking(move || boards.get(&uid)).await.map_err(|_| GrafanaError::bad("the dashboard cannot be read"))??;
    let view = asked.view(&found.model);
    let (model, given, range) = (found.model.clone(), asked.variables.clone(), view.range);
    let variables = run(app, None, move |app, budget| {
        let mut variables = Variables::of(&model, &given);
        options::resolve(app, &model, &given, &mut variables, range, budget);
        Ok::<_, ApiError>(variables)
    });
    let variables = variables.await.map_err(|error| GrafanaError::new(StatusCode::SERVICE_UNAVAILABLE, error.message))?;
    let all = panels(&found.model);
    match asked.panel {
        Some(id) => {
            let placed = repeat::single(all, id, &variables).ok_or_else(|| GrafanaError::not_found("Panel"))?;
            let size = [asked.size[0].unwrap_or(SIZE[0]), asked.size[1].unwrap_or(SIZE[1])];
            check_pixels(size, asked.scale, pixels_max)?;
            Ok(one(app, placed, &variables, &view, size).await)
        }
        None => {
            let layout = repeat::laid(all, &variables);
            let bottom = layout.placed.iter().map(|p| p.place[1] + p.place[3]).fold(1.0, f64::max).min(ROWS_MAX) * ROW;
            let size = [asked.size[0].unwrap_or(SIZE[0]), asked.size[1].map_or(bottom, |height| height.min(bottom))];
            check_pixels(size, asked.scale, pixels_max)?;
            Ok(whole(app, layout, &found.model, &variables, &view, size).await)
        }
    }
}

fn check_pixels(size: [f64; 2], scale: f64, most: Option<usize>) -> Result<(), GrafanaError> {
    let [width, height] = raster::size(size, scale);
    match most {
        Some(most) if width.saturating_mul(height) > most => {
            Err(GrafanaError::bad(format!("a picture of {width} by {height} pixels is too large: it may have {most}; ask for less width, height or scale")))
        }
        _ => Ok(()),
    }
}

/// All panels, each where it stands. What there is no time or room for is said in its place.
async fn whole(app: &Arc<App>, layout: Layout, model: &Map<String, Value>, variables: &Variables, view: &View, size: [f64; 2]) -> Picture {
    let column = size[0] / 24.0;
    let mut all = Picture::new(size[0], size[1]);
    all.rect([0.0, 0.0, size[0], size[1]], view.theme.faint, 1.0);
    let until = app.rooms.clock.monotonic() + app.rooms.limits.timeout;
    let left_out = layout.left_out;
    for placed in layout.placed {
        let panel = &placed.panel;
        let [x, y, w, h] = placed.place;
        let (left, top) = (x * column + 2.0, y * ROW + 2.0);
        if top >= size[1] {
            continue;
        }
        let size = [(w * column - 4.0).max(20.0), (h * ROW - 4.0).max(20.0)];
        if panel.kind == "row" {
            let title = local(variables, &placed.local).words(&panel.title);
            all.text([left + 4.0, top + 18.0], 14.0, view.theme.ink, Anchor::Start, &fitting(&title, 14.0, size[0]));
            continue;
        }
        let picture = if all.bytes() > BYTES_MAX {
            draw(panel, &Content::Failed("not drawn: the picture is too large".to_owned()), &[], view, size)
        } else if app.rooms.clock.monotonic() >= until {
            draw(panel, &Content::Failed("not drawn: the other panels took too long".to_owned()), &[], view, size)
        } else {
            one(app, placed, variables, view, size).await
        };
        all.inside([left, top], picture);
    }
    if left_out > 0 {
        let title = model.get("title").and_then(Value::as_str).unwrap_or_default();
        tracing::warn!(title, left_out, "a picture of a dashboard has not all of its panels");
        all.text([size[0] - 4.0, size[1] - 4.0], 11.0, view.theme.ink, Anchor::End, &format!("{left_out} more panels"));
    }
    all
}

/// Variables with the values of one repetition.
fn local(variables: &Variables, local: &Local) -> Variables {
    let mut own = variables.clone();
    local.iter().for_each(|(name, value)| own.only(name, value));
    own
}

/// One panel in a size. What fails is said in the picture.
async fn one(app: &Arc<App>, placed: Placed, variables: &Variables, view: &View, size: [f64; 2]) -> Picture {
    let mut variables = local(variables, &placed.local);
    let mut panel = Panel::clone(&placed.panel);
    let range = view.range;
    let length = range[1].saturating_sub(range[0]);
    // A point every other pixel, none between two scrapes, and no more than a query may have. Cells are wider than points.
    let wide = match panel.kind.as_str() {
        "status-history" => 16.0,
        "heatmap" => 6.0,
        _ => 2.0,
    };
    let points = ((size[0] / wide).max(1.0) as i64).min(app.rooms.limits.points_max);
    let step_ms = whole_seconds((length / points).max(1));
    for (name, secs) in [("__interval", step_ms / 1_000), ("__rate_interval", (step_ms / 1_000 + 15).max(60)), ("__range", (length / 1_000).max(1))] {
        variables.set(name, format!("{secs}s"));
        variables.set(&format!("{name}_ms"), (secs * 1_000).to_string());
        variables.set(&format!("{name}_s"), secs.to_string());
    }
    panel.title = variables.words(&panel.title);
    panel.text = variables.words(&panel.text);
    let (own, theme) = (View { step_ms, ..view.clone() }, view.theme);
    let outcome = run(app, None, move |app, budget| {
        let mut notes = Notes::default();
        let content = answered(app, &panel, &variables, &Questions { range, step_ms, budget }, size, &mut notes);
        let content = content.unwrap_or_else(|error| Content::Failed(error.message));
        Ok::<_, ApiError>(draw(&panel, &content, &notes.0, &own, size))
    });
    outcome.await.unwrap_or_else(|error| {
        let mut picture = Picture::new(size[0], size[1]);
        picture.rect([0.0, 0.0, size[0], size[1]], theme.paper, 1.0);
        picture.text([10.0, size[1] / 2.0], 13.0, theme.ink, Anchor::Start, &fitting(&error.message, 13.0, size[0] - 20.0));
        picture
    })
}

/// What there is to draw of a panel, with all that it says of its answers.
fn answered(app: &App, panel: &Panel, variables: &Variables, asked: &Questions<'_>, size: [f64; 2], notes: &mut Notes) -> Result<Content, ApiError> {
    if matches!(panel.kind.as_str(), "logs" | "heatmap") {
        for step in frames::list(&panel.transformations).iter().filter(|step| !panel::is_set(step, "disabled")) {
            notes.not_applied(panel::text(step, "id"));
        }
    }
    match panel.kind.as_str() {
        "logs" => queries::newest(app, panel, variables, asked, logs::rows(size[1] - draw::HEAD - draw::PAD)).map(Content::Logs),
        "heatmap" => queries::buckets(app, panel, variables, asked).map(Content::Buckets),
        _ => {
            let frames = queries::frames(app, panel, variables, asked, notes)?;
            let mut frames = transform::transformed(frames, &panel.transformations, notes);
            asked.budget.check()?;
            fields::configure(&mut frames, panel, variables, notes);
            notes.knows(&panel.reduce);
            Ok(Content::Frames(frames))
        }
    }
}

/// The next whole second.
fn whole_seconds(ms: i64) -> i64 {
    (ms + 999) / 1_000 * 1_000
}
