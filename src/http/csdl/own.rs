//! What is sysjob's own: functions on rows, in a namespace that Dataverse does not have.

/// The schema of the namespace `sysjob`.
pub const SCHEMA: &str = r#"<Schema Namespace="sysjob" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<ComplexType Name="WhyResponse">
<Property Name="verdict" Type="Edm.String" Nullable="false" />
<Property Name="text" Type="Edm.String" Nullable="false" />
<Property Name="chain" Type="Collection(sysjob.WhyLink)" />
</ComplexType>
<ComplexType Name="WhyLink">
<Property Name="cause" Type="Edm.String" Nullable="false" />
<Property Name="asyncoperationid" Type="Edm.Guid" />
<Property Name="pool" Type="Edm.String" />
<Property Name="running" Type="Edm.Int32" />
<Property Name="concurrency" Type="Edm.Int32" />
<Property Name="position" Type="Edm.Int32" />
<Property Name="seconds" Type="Edm.Double" />
<Property Name="definition" Type="Edm.Guid" />
<Property Name="until" Type="Edm.DateTimeOffset" />
<Property Name="text" Type="Edm.String" Nullable="false" />
</ComplexType>
<Function Name="Why" IsBound="true">
<Parameter Name="entity" Type="mscrm.asyncoperation" Nullable="false" />
<ReturnType Type="sysjob.WhyResponse" Nullable="false" />
</Function>
</Schema>
"#;
