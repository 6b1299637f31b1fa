//! The real loop on the world in memory: every way of a deployment, its faults, and a crash at every boundary.

use crate::world::World;
use crate::world::manifest::{goal, webservice};
use crate::world::processes::Behaviour;

#[test]
fn a_first_deployment_serves_from_the_first_slot() {
    let world = World::new(1);
    let spec = webservice("1");
    world.build(&spec, Behaviour::good());
    world.converges(&goal(&[spec.clone()]));
    assert!(world.see().serves(&spec.proxy.include), "{}", world.story());
}
