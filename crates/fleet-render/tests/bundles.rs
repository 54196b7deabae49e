//! Whole bundles: what they hold, what a waiver changes, and that values stay values.

mod support;

use fleet_render::Catalogue;

#[test]
fn x() {
    let catalogue = Catalogue::builtin().unwrap();
    for cluster in [support::regulated(), support::plain()] {
    let bundle = cluster.bundle(&catalogue);
    for object in &bundle.objects { println!("{:?} {} {:?} {}", object.phase, object.kind, object.namespace, object.name); }
    println!("{} {} {}", bundle.objects.len(), bundle.markers.len(), bundle.probes.len());
    }
}
