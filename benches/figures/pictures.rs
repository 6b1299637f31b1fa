//! The pictures of the README, drawn from `benches/pictures/figures.json` and from nothing else. A test draws them anew and compares.

use std::collections::BTreeMap;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const GOOD: RGBColor = RGBColor(46, 125, 50);
const BAD: RGBColor = RGBColor(198, 40, 40);
const RESET: RGBColor = RGBColor(239, 108, 0);
const INK: RGBColor = RGBColor(55, 71, 79);
const SERIES: [RGBColor; 3] = [RGBColor(21, 101, 192), GOOD, RESET];
/// Whose deployment the time line shows.
const SHOWN: [&str; 4] = ["slotd, flag, auto", "slotd, reload, auto", "the five scripts", "stop and start"];

/// Every picture that these figures suffice for, by its file name.
pub(crate) fn draw(figures: &Value) -> Result<BTreeMap<&'static str, String>, Box<dyn std::error::Error>> {
    let mut pictures = BTreeMap::new();
    if let Some(systems) = figures["comparison"].as_array() {
        let shown: Vec<&Value> = SHOWN.iter().filter_map(|name| systems.iter().find(|s| s["name"] == *name)).collect();
        let under = under(figures, "comparison");
        pictures.insert("timeline.svg", svg((960, 220 * u32::try_from(shown.len())?), |area| timelines(area, &shown, &under))?);
        let height = 90 + 34 * u32::try_from(systems.len())?;
        pictures.insert("deploy-times.svg", svg((960, height), |area| deploy_times(area, systems, &under))?);
    }
    if let Some(rows) = figures["cost"].as_array() {
        pictures.insert("cost.svg", svg((960, 360), |area| cost(area, rows, &under(figures, "cost")))?);
    }
    Ok(pictures)
}

fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(text)
}

/// What keeps these figures from being those of a released build on an idle machine, if anything.
fn under(figures: &Value, part: &str) -> String {
    let taken = &figures["taken"][part];
    let slow = (taken["profile"] != "release").then_some("test profile");
    let busy = (number(&taken["load_before"]) > number(&taken["cores"]) / 2.0).then_some("beside other work");
    let words: Vec<&str> = [slow, busy].into_iter().flatten().collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn deployments(system: &Value) -> &[Value] {
    system["deployments"].as_array().map_or(&[], Vec::as_slice)
}

/// From the command to the first answer of the new release, s.
fn time(deployment: &Value) -> f64 {
    number(&deployment["moments_s"]["cutover"])
}

/// In the order of their times.
fn by_time(system: &Value) -> Vec<&Value> {
    let mut all: Vec<&Value> = deployments(system).iter().collect();
    all.sort_by(|one, other| time(one).total_cmp(&time(other)));
    all
}

fn median(system: &Value) -> Option<&Value> {
    let all = by_time(system);
    all.get(all.len().saturating_sub(1) / 2).copied()
}

fn failed(system: &Value) -> u64 {
    deployments(system).iter().filter_map(|deployment| deployment["failed"].as_u64()).sum()
}

/// A panel for each way: its deployment of the median time.
fn timelines(area: &Area<'_>, systems: &[&Value], under: &str) -> Drawn {
    let ended = |system: &&Value| median(system).map(|deployment| number(&deployment["moments_s"]["ended"]));
    // the fourth of it that is empty has room for the key and for the last label
    let end = systems.iter().filter_map(ended).fold(1.0, f64::max) * 1.25;
    for (panel, system) in area.split_evenly((systems.len(), 1)).iter().zip(systems) {
        // one key is enough
        timeline(panel, system, (end, under), std::ptr::eq(*system, systems[0]))?;
    }
    Ok(())
}

fn timeline(panel: &Area<'_>, system: &Value, (end, under): (f64, &str), has_key: bool) -> Drawn {
    let Some(deployment) = median(system) else { return Ok(()) };
    let bin = number(&deployment["bin_ms"]) / 1e3;
    let rate = |column: usize| -> Vec<(f64, f64)> {
        let bins = deployment["bins"].as_array().into_iter().flatten();
        let points = bins.map(|row| (number(&row[0]) * bin, number(&row[column]) / bin));
        points.filter(|(at, _)| (-1.0..=end).contains(at)).collect()
    };
    let good = filled(&rate(1), bin, -1.0, end);
    let top = good.iter().chain(&rate(2)).chain(&rate(3)).map(|point| point.1).fold(100.0, f64::max) * 1.25;
    let mut chart = ChartBuilder::on(panel)
        .caption(said(system, deployment, under), ("sans-serif", 16).into_font().color(&INK))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(60)
        .build_cartesian_2d(-1.0..end, 0.0..top)?;
    let style = ("sans-serif", 12).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_mesh()
        .y_desc("requests/s")
        .x_desc("seconds since the command")
        .label_style(style.clone())
        .y_labels(4)
        .draw()?;
    let (failures, resets) = (rate(2), rate(3));
    // one request in a bin is a pixel high: the band behind it is what nobody overlooks
    let failing = || failures.iter().filter(|point| point.1 > 0.0);
    let bands = failing().map(|(at, _)| Rectangle::new([(*at, 0.0), (at + bin, top)], BAD.mix(0.15).filled()));
    chart.draw_series(bands)?;
    chart.draw_series(AreaSeries::new(good, 0.0, GOOD.mix(0.25)).border_style(GOOD))?.label("answered well").legend(key(GOOD));
    let bars = failing().map(|(at, height)| Rectangle::new([(*at, 0.0), (at + bin, *height)], BAD.filled()));
    chart.draw_series(bars)?.label("failed").legend(key(BAD));
    let closed = resets.iter().zip(&failures).filter(|(reset, _)| reset.1 > 0.0);
    let bars =
        closed.map(|((at, height), (_, below))| Rectangle::new([(*at, *below), (at + bin, below + height)], RESET.filled()));
    chart.draw_series(bars)?.label("idle connection closed").legend(key(RESET));
    for (row, (moment, at)) in moments(deployment).into_iter().enumerate() {
        chart.draw_series([PathElement::new(vec![(at, 0.0), (at, top)], INK)])?;
        // those that lie close to each other must not cover each other
        let height = top * (0.98 - 0.12 * f64::from(u32::try_from(row)?));
        let (side, beside) = if moment == "ready" { (HPos::Right, at - end * 0.004) } else { (HPos::Left, at + end * 0.004) };
        let style = style.clone().pos(Pos::new(side, VPos::Top));
        chart.draw_series([Text::new(format!("{moment} {at:.1} s"), (beside, height), style)])?;
    }
    if has_key {
        let keys = &mut chart.configure_series_labels();
        keys.position(SeriesLabelPosition::LowerRight).label_font(style).background_style(WHITE).border_style(INK).draw()?;
    }
    Ok(())
}

fn key(colour: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(3))
}

/// What this deployment came to, and all of this way: the one that is shown must not hide another.
fn said(system: &Value, deployment: &Value, under: &str) -> String {
    let count = |name: &str| deployment[name].as_u64().unwrap_or(0);
    let (here, resets, all) = (count("failed"), count("idle_resets"), deployments(system).len());
    let name = system["name"].as_str().unwrap_or_default();
    format!("{name}: {here} failed, {resets} idle connections closed; {} failed in all {all} deployments{under}", failed(system))
}

/// What was seen of it, in the order of a deployment.
fn moments(deployment: &Value) -> Vec<(&'static str, f64)> {
    let seen = ["start", "ready", "cutover", "drained"].map(|moment| (moment, deployment["moments_s"][moment].as_f64()));
    seen.into_iter().filter_map(|(moment, at)| Some((moment, at?))).collect()
}

/// A bin without a request is a gap in service, and must show as one.
fn filled(points: &[(f64, f64)], bin: f64, from: f64, to: f64) -> Vec<(f64, f64)> {
    let mut all = Vec::new();
    let mut at = (from / bin).round();
    while at * bin <= to.min(points.last().map_or(from, |point| point.0)) {
        let there = points.iter().find(|point| (point.0 / bin - at).abs() < 0.5);
        all.push((at * bin, there.map_or(0.0, |point| point.1)));
        at += 1.0;
    }
    all
}

/// A line for each way: a point for each deployment, a stroke at the median.
fn deploy_times(area: &Area<'_>, systems: &[Value], under: &str) -> Drawn {
    let longest = systems.iter().flat_map(deployments).map(time).fold(1.0, f64::max) * 1.1;
    let rows = systems.len();
    let mut chart = ChartBuilder::on(area)
        .caption(
            format!("from the command to the first answer of the new release{under}"),
            ("sans-serif", 16).into_font().color(&INK),
        )
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(210)
        .build_cartesian_2d(0.0..longest, 0.0..f64::from(u32::try_from(rows)?))?;
    let style = ("sans-serif", 12).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc("seconds; the stroke is the median")
        .label_style(style.clone())
        .draw()?;
    for (row, system) in systems.iter().enumerate() {
        let height = f64::from(u32::try_from(rows - row)?) - 0.5;
        let failed = failed(system);
        let colour = if failed > 0 { BAD } else { GOOD };
        let times = deployments(system).iter().map(time);
        chart.draw_series(times.map(|time| Circle::new((time, height), 4, colour.mix(0.5).filled())))?;
        let median = median(system).map_or(0.0, time);
        chart.draw_series([PathElement::new(vec![(median, height - 0.35), (median, height + 0.35)], INK.stroke_width(2))])?;
        let (left, y) = chart.backend_coord(&(0.0, height));
        let label = format!("{}: {median:.1} s, {failed} failed", system["name"].as_str().unwrap_or_default());
        let anchor = style.clone().pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(label, (left - 8, y), anchor))?;
    }
    Ok(())
}

/// Over services, and over other processes with one service.
fn cost(area: &Area<'_>, rows: &[Value], profile: &str) -> Drawn {
    let (left, right) = area.split_horizontally(480);
    let of = |strangers: bool, standby: &str| -> Vec<&Value> {
        let wanted =
            |row: &&Value| row["standby"] == standby && if strangers { row["services"] == 1 } else { row["strangers"] == 0 };
        rows.iter().filter(wanted).collect()
    };
    let points = |rows: &[&Value], x: &str, y: &str| -> Vec<(f64, f64)> {
        rows.iter().map(|row| (number(&row[x]).max(1.0), number(&row[y]["median"]))).collect()
    };
    let services = of(false, "running");
    let lines = [
        ("plan, wall", points(&services, "services", "plan_wall_ms")),
        ("a pass, CPU", points(&services, "services", "pass_cpu_ms")),
    ];
    lines_over(&left, ("services", profile), &lines)?;
    let (running, stopped) = (of(true, "running"), of(true, "stopped"));
    let lines = [
        ("plan, wall", points(&running, "strangers", "plan_wall_ms")),
        ("a pass, CPU", points(&running, "strangers", "pass_cpu_ms")),
        ("plan, wall, standby stopped", points(&stopped, "strangers", "plan_wall_ms")),
    ];
    lines_over(&right, ("other processes", profile), &lines)
}

fn lines_over(area: &Area<'_>, (over, profile): (&str, &str), lines: &[(&str, Vec<(f64, f64)>)]) -> Drawn {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let (widest, highest) = (all().map(|p| p.0).fold(10.0, f64::max), all().map(|p| p.1).fold(10.0, f64::max) * 2.0);
    let mut chart = ChartBuilder::on(area)
        .caption(format!("milliseconds over {over}{profile}"), ("sans-serif", 16).into_font().color(&INK))
        .margin(8)
        .margin_right(16)
        .x_label_area_size(34)
        .y_label_area_size(52)
        .build_cartesian_2d((1.0..widest).log_scale(), (0.1..highest).log_scale())?;
    let style = ("sans-serif", 12).into_font().color(&INK);
    chart.configure_mesh().light_line_style(WHITE).x_desc(over).y_desc("ms").label_style(style.clone()).draw()?;
    for ((name, points), colour) in lines.iter().zip(SERIES) {
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    let corner = SeriesLabelPosition::UpperLeft;
    chart
        .configure_series_labels()
        .position(corner)
        .label_font(style)
        .background_style(WHITE.mix(0.8))
        .border_style(INK)
        .draw()?;
    Ok(())
}
