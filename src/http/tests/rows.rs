//! Single rows.

use super::{job_id, server};
use crate::value::guid_text;

#[test]
fn one_row_by_its_key() {
    let server = server(3);
    let id = guid_text(&job_id(2));
    let row = server.get(&format!("asyncoperations({})?$select=name", id.to_uppercase()), &[]);
    assert_eq!(
        row.text,
        format!(
            r#"{{"@odata.context":"{}$metadata#asyncoperations(name)/$entity","name":"job 2","asyncoperationid":"{id}"}}"#,
            server.base()
        )
    );
    let missing = server.get(&format!("asyncoperations({})", guid_text(&job_id(9))), &[]);
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &"0x80040217".into()));
    assert!(missing.message().contains(&guid_text(&job_id(9))));
    assert_eq!(server.get(&format!("asyncoperations({id})?$filter=x"), &[]).status, 400);
}
