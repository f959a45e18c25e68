// The stacks of `LLMOPS_ENV=prod python -P app.py` in TypeScript: the same resources by type, made
// with the same classes of the CDK, each with the settings that shape its template. FUNCTIONS is the
// folder of the functions' code; with POLICIES=1 the four packs of cdk-nag look at the templates.
import * as cdk from 'aws-cdk-lib';
import * as nag from 'cdk-nag';
import { Archive, Delivery, Monitoring } from './beside';
import { Common, Data, Network, Rotation } from './foundation';
import { Page, Routing, Service, Workers } from './service';

const app = new cdk.App({
  analyticsReporting: false,
  stackTraces: false,
  treeMetadata: false,
  postCliContext: {
    '@aws-cdk/aws-ecs:removeDefaultDeploymentAlarm': true,
    '@aws-cdk/aws-iam:minimizePolicies': true,
    '@aws-cdk/aws-rds:preventRenderingDeprecatedCredentials': true,
    '@aws-cdk/core:enablePartitionLiterals': true,
    '@aws-cdk/core:target-partitions': ['aws'],
    '@aws-cdk/core:validateAgainstDefaultRules': true,
    'aws:cdk:enable-asset-metadata': false,
    'aws:cdk:enable-path-metadata': false,
  },
});
const common = new Common(app);
const network = new Network(app, common);
const data = new Data(app, common, network);
const rotation = new Rotation(app, common, network, data);
const routing = new Routing(app, network, common);
const below = { common, network, data, rotation, routing };
const service = new Service(app, below);
new Workers(app, below, service);
new Page(app, below, service);
new Archive(app, common, service);
new Monitoring(app, below, service);
new Delivery(app);
if (process.env.POLICIES) {
  cdk.Validations.of(app).addPlugins(
    new nag.AwsSolutionsChecks(app), new nag.HIPAASecurityChecks(app),
    new nag.NIST80053R5Checks(app), new nag.PCIDSS321Checks(app));
}
app.synth();
