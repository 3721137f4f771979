use std::sync::Arc;
use sysjob::{
    catalog::Catalog,
    dialect::fetchxml,
    engine::Engine,
    query::bind::{BindOptions, bind},
    store::Snapshot,
};

#[tokio::test]
async fn smoke() {
    let catalog = Arc::new(Catalog::built_in());
    let snapshot = Arc::new(Snapshot::empty(catalog.clone()));
    let engine = Engine::new();
    for dir in std::fs::read_dir("queries").unwrap() {
        let dir = dir.unwrap().path();
        let text = std::fs::read_to_string(dir.join("fetch.xml")).unwrap();
        let bound =
            bind(&fetchxml::parse(&text).unwrap(), &catalog, BindOptions { annotations: true })
                .unwrap();
        let plan = engine.plan(&bound, &snapshot).unwrap();
        println!(
            "{}\n{}",
            dir.display(),
            engine.explain(plan.clone(), false, false).await.unwrap()
        );
        if dir.ends_with("names-using-file-storage") {
            println!("{}", engine.explain(plan.clone(), true, false).await.unwrap());
        }
        engine.collect(plan).await.unwrap();
    }
}
